"""Who is told outside, simulated: takes signed webhooks, each once by its id, and fails to order."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from msgspec import Struct, ValidationError, to_builtins
from msgspec.json import Decoder
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

SECRET = "whsec_c2ltdWxhdGVkLXdhcmVob3VzZS1zZWNyZXQ="  # noqa: S105  # guards nothing
"""What webhooks to the simulator are to be signed with."""

MOST_DELAY_MS = 600_000


class Told(Struct, kw_only=True):
    """Be one message as it came first, and within which trace; `deliveries` counts how often it came."""

    id: str
    type: str
    order_id: str
    sequence: int
    traceparent: str
    deliveries: int = 1


class Faults(BaseModel):
    """Say whether all messages fail from now on, and how long each is kept waiting."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    failing: bool = False
    delay_ms: int = Field(0, ge=0, le=MOST_DELAY_MS)


class _Data(Struct):
    order_id: str
    sequence: int


class _Body(Struct):
    type: str
    data: _Data


_read = Decoder(_Body).decode


class Receiver:
    """Keep every message of one kind, such as transfers, in the order in which they came."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._webhook = Webhook(SECRET)
        self._told: dict[str, Told] = {}
        self._refused = 0
        self._faults = Faults()

    def routes(self) -> list[web.RouteDef]:
        """Return where it is reached."""
        return [
            web.post(f"/{self._kind}", self.take),
            web.get(f"/{self._kind}", self.show),
            web.get(f"/{self._kind}/count", self.count),
            web.put(f"/faults/{self._kind}", self.switch),
        ]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take one message; what has come before is answered in the same way, and counted."""
        body = await request.read()
        faults = self._faults
        if not self._is_signed(body, request):
            self._refused += 1
            return web.json_response({"taken": False}, status=HTTPStatus.UNAUTHORIZED)
        if faults.failing:
            return web.json_response({"taken": False}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            self._remember(request.headers, _read(body))
        except ValidationError:
            return web.json_response({"taken": False}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        await asyncio.sleep(faults.delay_ms / 1_000)  # it has it, and takes its time to say so
        return web.json_response({"taken": True})

    async def show(self, _: web.Request) -> web.StreamResponse:
        """Show what has come, and how many were refused for their signatures."""
        told = to_builtins([*self._told.values()])
        return web.json_response({self._kind: told, "refused": self._refused})

    async def count(self, _: web.Request) -> web.StreamResponse:
        """Show how many have come: little to ask for, however many they are."""
        return web.json_response({"count": len(self._told)})

    async def switch(self, request: web.Request) -> web.StreamResponse:
        """Order faults, or none."""
        self._faults = Faults.model_validate_json(await request.read())
        return web.json_response(self._faults.model_dump())

    def _is_signed(self, body: bytes, request: web.Request) -> bool:
        try:
            self._webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # the second for a signature of another shape
            return False
        return True

    def _remember(self, headers: Mapping[str, str], body: _Body) -> None:
        message_id = headers["webhook-id"]
        if (known := self._told.get(message_id)) is not None:
            known.deliveries += 1
            return
        self._told[message_id] = Told(
            id=message_id,
            type=body.type,
            order_id=body.data.order_id,
            sequence=body.data.sequence,
            traceparent=headers.get("traceparent", ""),
        )
