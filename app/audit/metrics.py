"""What an audit that goes on has come to, for Prometheus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from app.audit.offences import Kind
from app.audit.report import Report
from app.errors import AuditRefused


class Metrics:
    """Be the figures of the last complete look at the topics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._offences = self._gauge("offences", "What is wrong now, by its kind", ["kind"])
        self._orders = self._gauge("orders", "How many orders stand so", ["status"])
        self._records = self._gauge("records", "How many records have been read")
        self._unreadable = self._gauge("unreadable_records", "How many of them can't be decoded")
        self._at = self._gauge("last_look_timestamp_seconds", "When the topics were last judged")
        self._took = self._gauge("last_look_seconds", "How long that took")
        self._looks = self._counter("looks", "How often they were judged")
        self._failed = self._counter("failed_looks", "How often Kafka or the worker was away")
        for kind in Kind:
            self._offences.labels(kind)

    def set(self, found: Report, took_s: float) -> None:
        """Take over what one look has come to."""
        for kind in Kind:
            self._offences.labels(kind).set(found.offences.get(kind, 0))
        for status, count in found.orders.items():
            self._orders.labels(status).set(count)
        self._records.set(found.records)
        self._unreadable.set(found.unreadable)
        self._took.set(took_s)
        self._at.set(time.time())
        self._looks.inc()

    def fail(self) -> None:
        """Count a look that came to nothing; what stood at the last complete one stays."""
        self._failed.inc()

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"orders_audit_{name}", text, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] | list[str] = ()) -> Gauge:
        return Gauge(f"orders_audit_{name}", text, labels, registry=self.registry)


@contextmanager
def served(metrics: Metrics, port: int | None, bind: str) -> Iterator[None]:
    """Serve the metrics meanwhile, where there is a port to do it on.

    Raises:
        AuditRefused: the port is taken.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, bind, metrics.registry)
    except OSError as error:
        raise AuditRefused(f"--metrics-port {port}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
