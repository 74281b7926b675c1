"""What is called outside, as part of a trace: a stage's question, and each call that it takes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from app import tracing
from app.http_client import HttpClient, Reply


class _AboutOrder(Protocol):
    @property
    def order_id(self) -> str: ...


I = TypeVar("I", bound=_AboutOrder)  # noqa: E741  # an intent
A = TypeVar("A")


def followed(stage: str, ask: Callable[[I], Awaitable[A]]) -> Callable[[I], Awaitable[A]]:
    """Return what asks the same within a span; where tracing is off, what was given."""
    traces = tracing.current()
    if traces is None:
        return ask

    async def asked(intent: I) -> A:
        with traces.ask(stage, intent.order_id):
            return await ask(intent)

    return asked


def client_kind() -> type[HttpClient]:
    """Return what clients of HTTP are in this process."""
    return HttpClient if tracing.current() is None else TracedClient


class TracedClient(HttpClient):
    """Call one server, each call in a span, and tell the server of it."""

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], json: bytes | None = None
    ) -> Reply:
        """Send one request, as `HttpClient.call` does."""
        traces = tracing.current()
        assert traces is not None
        with traces.call(method, f"{self._host}:{self._port}") as span:
            reply = await super().call(method, path, {**headers, **traces.lines()}, json)
            traces.note_answer(span, reply.status)
            return reply
