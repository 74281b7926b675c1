"""What a worker tells Prometheus of itself: every name there is, in one place.

What happens is counted where it happens. What stands somehow is looked up when Prometheus asks, by functions
that its owner gives with `set_function`. Labels are names out of the code, never out of a request: of stages,
topics, steps, statuses, routes and providers there are few, and they are known.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST

ProcessCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Up to which times of a step or an answer are counted together."""

LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
"""The same for what takes several stages."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


def _counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"orders_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(f"orders_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"orders_{name}", text, labels, buckets=buckets, registry=REGISTRY)


STAGE_INPUTS = _histogram(
    "stage_batch_inputs", "Inputs of a batch; their sum is what a stage has worked on", ("stage",), SIZES
)
STAGE_STEP_SECONDS = _histogram(
    "stage_step_seconds", "Time a batch takes for each step of delivery", ("stage", "step"), SECONDS
)
STAGE_ERRORS = _counter("stage_errors", "Batches that a stage could not process as one", ("stage",))
STAGE_BEHIND = _gauge("stage_behind_seconds", "Age of the oldest record that a stage has in hand", ("stage",))
DEAD_LETTERS = _counter("dead_letters", "Records that could not be processed, by their topic", ("topic",))
CONSUMER_LAG = _gauge(
    "consumer_lag_records", "Records of this worker's partitions still to be worked through", ("topic",)
)
COMMIT_AGE = _gauge(
    "commit_age_seconds", "Time for which what was worked through has not been committed to Kafka"
)
RECOVERY_LEFT = _gauge("recovery_records_left", "Records of changelogs still to be read before it is ready")
READY = _gauge("ready", "Whether this worker has its partitions, recovered: 1 or 0")
UNSETTLED_AGE = _gauge(
    "oldest_unsettled_seconds", "Age of the oldest of this worker's orders that waits for something"
)
SETTLED_SECONDS = _histogram(
    "settled_seconds", "Time from an order's acceptance to its end, by the end", ("status",), LONG_SECONDS
)
PAYMENTS_OPEN = _gauge("payments_open", "Calls to the payment provider queued, under way or put off")
REFUNDS_DELAYED = _gauge("refunds_delayed", "Refunds that were asked for in vain, and are asked for again")
BREAKER_OPEN = _gauge(
    "provider_breaker_open", "Whether a provider's breaker lets no call through freely: 1 or 0", ("provider",)
)
OUTBOUND_ATTEMPTS = _counter("outbound_attempts", "Attempts to deliver a message outside", ("stage",))
OUTBOUND_FAILURES = _counter("outbound_failures", "Those of them that came to nothing", ("stage",))
OUTBOUND_DELIVERED = _counter("outbound_delivered", "Messages that were delivered outside", ("stage",))
OUTBOUND_SKIPPED = _counter("outbound_skipped", "Messages that were too old to be delivered", ("stage",))
OUTBOUND_OPEN = _gauge("outbound_open", "Messages queued, under way or put off", ("stage",))
OUTBOUND_OLDEST = _gauge(
    "outbound_oldest_seconds", "For how long the oldest of them has been tried", ("stage",)
)
HTTP_SECONDS = _histogram(
    "http_request_seconds",
    "Time to answer a request, by its route and the answer's status",
    ("method", "route", "status"),
    SECONDS,
)


def exposition() -> bytes:
    """Return all of it as Prometheus reads it."""
    return generate_latest(REGISTRY)
