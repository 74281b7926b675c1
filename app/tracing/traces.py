"""The spans of this process: which there are, what is said in them, and how one trace goes on elsewhere.

A span says which order it is about, and never whose: no customer id, no token, no body.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.tracing.kept import Kept

Headers = list[tuple[str, bytes]]
"""The headers of a record."""

ORDER_ID = "order.id"

FAILED = 500
"""From which status on an answer is a failure of whoever gives it."""

_NOWHERE: Final = Context()  # of what nobody has caused: a trace begins, sampled or not by chance
_w3c = TraceContextTextMapPropagator()


class Traces:
    """Make spans, and carry their traces on."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._kept: dict[str, Kept] = {}

    def kept(self, stage: str) -> Kept:
        """Return what the stage has begun outside, and goes on with when it is answered."""
        return self._kept.setdefault(stage, Kept())

    @contextmanager
    def serve(self, name: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Be in the span of a request, which goes on with its caller's trace where that has one."""
        with _within(self._tracer.start_span(name, _w3c.extract(headers, _NOWHERE), SpanKind.SERVER)) as span:
            yield span

    def handle(self, name: str, within: Context | None) -> tuple[Span, Context]:
        """Begin the span of an input that was sent in this context, if in any; return it with its own."""
        span = self._tracer.start_span(name, within or _NOWHERE, SpanKind.CONSUMER)
        return span, trace.set_span_in_context(span, _NOWHERE)

    @contextmanager
    def ask(self, stage: str, order_id: str) -> Iterator[None]:
        """Be in the span of all calls that a stage makes for one thing, until it knows what came of it."""
        kept = self.kept(stage)
        cause = kept.find(order_id)
        span = self._tracer.start_span(f"{stage} ask", cause or _NOWHERE, attributes={ORDER_ID: order_id})
        if cause is None:  # taken up after a restart: at least the answer goes on with this trace
            kept.keep(order_id, trace.set_span_in_context(span, _NOWHERE))
        with _within(span):
            yield

    @contextmanager
    def call(self, method: str, server: str) -> Iterator[Span]:
        """Be in the span of one call; where exactly it goes is left out, for an address may hold a secret."""
        attributes = {"http.request.method": method, "server.address": server}
        with _within(self._tracer.start_span(method, None, SpanKind.CLIENT, attributes)) as span:
            yield span

    def lines(self) -> dict[str, str]:
        """Return the headers of HTTP under which the trace that this is part of goes on."""
        carrier: dict[str, str] = {}
        _w3c.inject(carrier)
        return carrier

    def headers(self, within: Context | None = None) -> Headers:
        """Return the same as headers of a record, by default of the trace that this is part of."""
        carrier: dict[str, str] = {}
        _w3c.inject(carrier, within)
        return [(name, value.encode()) for name, value in carrier.items()]

    def cause(self, found: Headers | None) -> Context | None:
        """Return the context that a record's headers give, if any."""
        return _w3c.extract(found, _NOWHERE, _OF_RECORDS) if found else None

    def note_order(self, message: Any) -> None:
        """Say in the span that this is part of which order it is about."""
        if (order_id := getattr(message, "order_id", None)) is not None:
            trace.get_current_span().set_attribute(ORDER_ID, order_id)

    def note_answer(self, span: Span, status: int) -> None:
        """Say how a request or a call was answered."""
        span.set_attribute("http.response.status_code", status)
        if status >= FAILED:
            self.fail(span, f"status {status}")

    def fail(self, span: Span, why: str) -> None:
        """Say that it came to nothing."""
        span.set_status(Status(StatusCode.ERROR, why))


@contextmanager
def _within(span: Span) -> Iterator[Span]:
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield span
    except Exception as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))  # its text may be anybody's words
        raise
    finally:
        context.detach(token)
        span.end()


class _OfRecords(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        found = [value.decode("ascii", "replace") for name, value in carrier if name == key and value]
        return found or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name for name, _ in carrier]


_OF_RECORDS = _OfRecords()
