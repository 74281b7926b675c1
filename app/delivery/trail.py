"""The spans of one stage: one for each input that is handled, from its turn until its batch has lasted.

What is sent while an input is in hand, and what is begun outside because of it, goes on with its trace.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from app import tracing
from app.delivery.batch import Batch, Input
from app.delivery.committing import Begin
from app.delivery.faults import Reach
from app.delivery.meter import STEPS
from app.delivery.producer import ANYWHERE

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from app.tracing.traces import Headers, Traces

LAST_STEP = "input acknowledged"
MS = 1_000_000

LENGTH = 55
"""Of a W3C traceparent: version, trace, span and flags, in hexadecimal digits."""

_UNSET = tuple(digit.encode() for digit in "02468ace")


def traced(stage: str, reach: Reach, *, keeps: bool) -> tuple[Begin, Reach]:
    """Return what makes this stage's batches, and what is told how far they have come.

    Where tracing is off both are what they were. The stage `keeps` what it began outside, if answers come
    back to it.
    """
    traces = tracing.current()
    if traces is None:
        return Batch, reach
    trail = Trail(stage, traces, keeps=keeps)

    def both(step: str) -> None:
        trail.reach(step)
        reach(step)

    return partial(TracedBatch, trail), both


class Trail:
    """Hold the spans of the batch in hand; a stage's batches come one after the other."""

    def __init__(self, stage: str, traces: "Traces", *, keeps: bool) -> None:
        self._stage = stage
        self.traces = traces
        self._kept = traces.kept(stage) if keeps else None
        self._open: list[Span] = []

    def begin(self) -> None:
        """Begin with a batch; what is left of the one before was given up, and comes again."""
        for span in self._open:
            self.traces.fail(span, "its batch was given up")
            span.end()
        self._open.clear()

    def handle(self, given: Input, size: int) -> "Headers":
        """Begin the span of an input of a batch of this size; return what is to go with what comes of it."""
        found: Headers | None = None if given.source is None else given.source.headers()
        if found and _is_left_out(found):  # by whoever began its trace: nearly all are, and cost nothing more
            return found
        span, within = self.traces.handle(f"{self._stage} {_type_of(given)}", self._cause(given, found))
        if span.is_recording():
            span.set_attributes(_described(self._stage, given, size))
            self._open.append(span)
        return self.traces.headers(within)

    def keep(self, message: Any, headers: "Headers") -> None:
        """Have answers that come of the message go on with this trace."""
        if self._kept is not None and (within := self.traces.cause(headers)) is not None:
            self._kept.keep(message.order_id, within)

    def reach(self, step: str) -> None:
        """Note how far the batch in hand has come; with the last step its spans end."""
        if step in STEPS:
            for span in self._open:
                span.add_event(step)
        if step == LAST_STEP:
            for span in self._open:
                span.end()
            self._open.clear()

    def _cause(self, given: Input, found: "Headers | None") -> "Context | None":
        if given.source is not None:
            return self.traces.cause(found)
        return None if self._kept is None else self._kept.find(getattr(given.message, "order_id", ""))


class TracedBatch(Batch):
    """Be a batch whose inputs each have a span."""

    def __init__(self, trail: Trail, inputs: tuple[Input, ...]) -> None:
        trail.begin()
        super().__init__(inputs)
        self._trail = trail
        self._traced: tuple[Any, Headers] | None = None

    def take(self, given: Input | None) -> None:
        """Take an input in hand, and begin its span."""
        super().take(given)
        self._traced = None
        if given is not None:
            self._traced = given.message, self._trail.handle(given, len(self.inputs))

    def send(self, *messages: Any) -> None:
        """Send messages, as part of the trace of the input in hand."""
        for message in messages:
            super().send(message)
            if self._traced is not None:
                self.outgoing[message.type, ANYWHERE][-1]["headers"] = self._traced[1]

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once all of this batch lasts, and keep the context for what may come of it."""
        super().after_commit(callback)
        if self._traced is not None:
            self._trail.keep(*self._traced)


def _is_left_out(headers: "Headers") -> bool:
    """Tell whether the headers name a trace that is not sampled: the lowest bit of its flags says so."""
    return any(
        name == "traceparent" and value.startswith(b"00-") and value.endswith(_UNSET) and len(value) == LENGTH
        for name, value in headers
    )


def _type_of(given: Input) -> str:
    return str(getattr(given.message, "type", type(given.message).__name__))


def _described(stage: str, given: Input, size: int) -> dict[str, str | int]:
    """Return what a span says of its input: where it is from and which order it is about, never whose."""
    said: dict[str, str | int] = {
        "saga.stage": stage,
        "messaging.operation.name": "process",
        "messaging.batch.message_count": size,
        "messaging.message.type": _type_of(given),
    }
    if (order_id := getattr(given.message, "order_id", None)) is not None:
        said["order.id"] = order_id
    if (source := given.source) is not None:
        said |= {
            "messaging.system": "kafka",
            "messaging.destination.name": source.topic(),
            "messaging.destination.partition.id": str(source.partition()),
            "messaging.kafka.offset": source.offset(),
            "messaging.waited_ms": max(0, time.time_ns() // MS - source.timestamp()[1]),
        }
    return said
