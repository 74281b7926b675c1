"""Where spans go: over OTLP to a collector, in batches, in a thread of their own."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Tracer

from app.settings import Settings

PATH = "/v1/traces"
"""Where OTLP over HTTP takes spans, below its endpoint."""

EXPORT_S = 3.0
"""How long one batch may take; what a collector does not take in time is lost, and nothing waits for it."""


def tracer(settings: Settings) -> Tracer:
    """Return what makes this worker's spans."""
    resource = Resource.create({"service.name": settings.group, "service.instance.id": settings.member_id})
    sampler = ParentBasedTraceIdRatio(settings.tracing.sample_ratio)
    provider = TracerProvider(sampler=sampler, resource=resource)
    exporter = OTLPSpanExporter(settings.tracing.endpoint.rstrip("/") + PATH, timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("order-saga")
