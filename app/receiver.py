"""The simulated warehouse: takes signed webhooks, each once by its id, and fails to order."""

import asyncio
from http import HTTPStatus

from aiohttp import web
from msgspec import Struct, ValidationError, to_builtins
from msgspec.json import Decoder
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

SECRET = "whsec_c2ltdWxhdGVkLXdhcmVob3VzZS1zZWNyZXQ="  # noqa: S105  # guards nothing
"""What transfers to the simulator are to be signed with."""

MOST_DELAY_MS = 600_000


class Transfer(Struct, kw_only=True):
    """Be one message as it came first; `deliveries` counts how often it came."""

    id: str
    type: str
    order_id: str
    sequence: int
    deliveries: int = 1


class TransferFaults(BaseModel):
    """Say whether all transfers fail from now on, and how long each is kept waiting."""

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
    """Keep every transfer in the order in which they came."""

    def __init__(self) -> None:
        self._webhook = Webhook(SECRET)
        self._transfers: dict[str, Transfer] = {}
        self._refused = 0
        self._faults = TransferFaults()

    def routes(self) -> list[web.RouteDef]:
        """Return where it is reached."""
        return [
            web.post("/transfers", self.take),
            web.get("/transfers", self.show),
            web.put("/faults/transfers", self.switch),
        ]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take one transfer; what has come before is answered in the same way, and counted."""
        body = await request.read()
        faults = self._faults
        if not self._is_signed(body, request):
            self._refused += 1
            return web.json_response({"taken": False}, status=HTTPStatus.UNAUTHORIZED)
        if faults.failing:
            return web.json_response({"taken": False}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            self._remember(request.headers["webhook-id"], _read(body))
        except ValidationError:
            return web.json_response({"taken": False}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        await asyncio.sleep(faults.delay_ms / 1_000)  # it has it, and takes its time to say so
        return web.json_response({"taken": True})

    async def show(self, _: web.Request) -> web.StreamResponse:
        """Show what has come, and how many were refused for their signatures."""
        transfers = to_builtins([*self._transfers.values()])
        return web.json_response({"transfers": transfers, "refused": self._refused})

    async def switch(self, request: web.Request) -> web.StreamResponse:
        """Order faults, or none."""
        self._faults = TransferFaults.model_validate_json(await request.read())
        return web.json_response(self._faults.model_dump())

    def _is_signed(self, body: bytes, request: web.Request) -> bool:
        try:
            self._webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # the second for a signature of another shape
            return False
        return True

    def _remember(self, message_id: str, body: _Body) -> None:
        if (known := self._transfers.get(message_id)) is not None:
            known.deliveries += 1
            return
        self._transfers[message_id] = Transfer(
            id=message_id, type=body.type, order_id=body.data.order_id, sequence=body.data.sequence
        )
