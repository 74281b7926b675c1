"""A collector of spans, as OpenTelemetry's own is from outside: OTLP over HTTP, in protobuf."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

HOST = "127.0.0.1"


class Seen(NamedTuple):
    """Be a span that was sent."""

    trace: str
    id: str
    parent: str
    name: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    failed: bool
    resource: dict[str, Any]


class Collector:
    """Keep every span that it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.raw = b""
        self.spans: list[Seen] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take in one export."""
        body = await request.read()
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        self.requests += 1
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_seen(span, about) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def of_order(self, order_id: str) -> list[Seen]:
        """Return the spans that name the order, in the order in which they came."""
        return [span for span in self.spans if span.attributes.get("order.id") == order_id]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Give a collector on a port of its own."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    collector.url = f"http://{HOST}:{runner.addresses[0][1]}"
    yield collector
    await runner.cleanup()


def _seen(span: Any, resource: dict[str, Any]) -> Seen:
    return Seen(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        _values(span.attributes),
        tuple(event.name for event in span.events),
        span.status.code == span.status.STATUS_CODE_ERROR,
        resource,
    )


def _values(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        kind = pair.value.WhichOneof("value")
        return getattr(pair.value, kind) if kind else None

    return {pair.key: value(pair) for pair in pairs}
