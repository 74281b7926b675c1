"""Traces without a system: who is the cause of what, and what is sent along."""

from typing import Any, NamedTuple, cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from app import tracing
from app.delivery.batch import Batch, Input
from app.delivery.faults import nowhere
from app.delivery.meter import STEPS
from app.delivery.producer import ANYWHERE
from app.delivery.trail import TracedBatch, Trail, traced
from app.errors import WorkerRefused
from app.http_client import HttpClient
from app.settings import Settings
from app.tracing import kept
from app.tracing.following import TracedClient, client_kind, followed
from app.tracing.kept import Kept
from app.tracing.traces import Headers, Traces
from models.events import OrderCancelRequested
from tests.models.scenario import START

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{CALLER}-01".encode()


class Record:
    """Be what librdkafka hands over, with headers."""

    def __init__(self, headers: Headers | None) -> None:
        self._headers = headers

    def headers(self) -> Headers | None:
        return self._headers

    def topic(self) -> str:
        return "ORDER_CANCEL_REQUESTED"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 17

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000


class Answer(NamedTuple):
    """Be an answer from outside."""

    order_id: str


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Traces:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Traces(provider.get_tracer("test"))


@pytest.fixture
def on(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> Traces:
    """Have the process trace."""
    monkeypatch.setattr(tracing, "_current", traces)
    return traces


def wish(order_id: str) -> OrderCancelRequested:
    """Return a message about the order."""
    return OrderCancelRequested(
        event_id=f"event-{order_id}",
        occurred_at=START,
        correlation_id=order_id,
        causation_id=order_id,
        order_id=order_id,
    )


def given(order_id: str, headers: Headers | None = None) -> Input:
    """Return a record about the order."""
    return Input(0, wish(order_id), cast("Any", Record(headers)))


def sent(batch: Batch) -> list[str]:
    """Return the traceparents of what the batch sends."""
    records = batch.outgoing["ORDER_CANCEL_REQUESTED", ANYWHERE]
    return [dict(record["headers"])["traceparent"].decode() for record in records]


def test_where_tracing_is_off_everything_is_as_before() -> None:
    async def ask(_: Answer) -> None: ...

    assert traced("orders", nowhere, keeps=True) == (Batch, nowhere)
    assert followed("payments", ask) is ask
    assert client_kind() is HttpClient


def test_where_it_is_on_calls_are_traced(on: Traces) -> None:
    assert tracing.current() is on
    assert client_kind() is TracedClient


async def test_each_message_goes_on_with_the_trace_of_the_input_in_hand(
    traces: Traces, exporter: InMemorySpanExporter
) -> None:
    trail = Trail("orders", traces, keeps=False)
    batch = TracedBatch(trail, (given("a", [("traceparent", SAMPLED)]), given("b")))
    async for _, message in batch:
        batch.send(message, message)
    for step in STEPS:
        trail.reach(step)
    of_a, of_b = exporter.get_finished_spans()
    assert of_a.parent is not None
    assert f"{of_a.context.trace_id:032x}" == TRACE
    assert f"{of_a.parent.span_id:016x}" == CALLER
    assert of_b.parent is None
    assert [line.split("-")[2] for line in sent(batch)] == [
        f"{span.context.span_id:016x}" for span in (of_a, of_a, of_b, of_b)
    ]
    assert [event.name for event in of_a.events] == [*STEPS]


async def test_an_answer_from_outside_goes_on_with_no_other_inputs_trace(traces: Traces) -> None:
    inputs = (given("a", [("traceparent", SAMPLED)]), Input(0, Answer("b")))
    batch = TracedBatch(Trail("notifications", traces, keeps=True), inputs)
    found = []
    async for partition, message in batch:
        found.append((partition, message.order_id, batch.offset))
        batch.send(wish(message.order_id))
    assert found == [(0, "a", 17), (0, "b", None)]
    assert [TRACE in line for line in sent(batch)] == [True, False]


async def test_what_is_sent_with_no_input_in_hand_belongs_to_no_trace(traces: Traces) -> None:
    batch = TracedBatch(Trail("orders", traces, keeps=False), (given("a"),))
    assert len([each async for each in batch]) == 1
    batch.send(wish("a"))
    assert "headers" not in batch.outgoing["ORDER_CANCEL_REQUESTED", ANYWHERE][0]


async def test_a_batch_that_is_given_up_leaves_spans_that_say_so(
    traces: Traces, exporter: InMemorySpanExporter
) -> None:
    trail = Trail("orders", traces, keeps=False)
    assert len([each async for each in TracedBatch(trail, (given("a"),))]) == 1
    assert not exporter.get_finished_spans()
    TracedBatch(trail, (given("a"),))
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


async def test_calls_and_the_answer_go_on_with_what_began_them(
    on: Traces, exporter: InMemorySpanExporter
) -> None:
    trail, lines = Trail("payments", on, keeps=True), []

    async def ask(_: Answer) -> None:
        with on.call("POST", "provider:80"):
            lines.append(on.lines()["traceparent"])

    first = TracedBatch(trail, (given("a", [("traceparent", SAMPLED)]),))
    async for _ in first:
        first.after_commit(lambda: None)
    trail.reach("input acknowledged")
    await followed("payments", ask)(Answer("a"))
    assert [message async for _, message in TracedBatch(trail, (Input(0, Answer("a")),))] == [Answer("a")]
    trail.reach("input acknowledged")
    asked, call, asking, answer = exporter.get_finished_spans()
    assert [span.name for span in (asked, call, asking, answer)] == [
        "payments ORDER_CANCEL_REQUESTED",
        "POST",
        "payments ask",
        "payments Answer",
    ]
    assert {f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()} == {TRACE}
    assert [span.parent and span.parent.span_id for span in (call, asking, answer)] == [
        asking.context.span_id,
        asked.context.span_id,
        asked.context.span_id,
    ]
    assert lines[0].split("-")[2] == f"{call.context.span_id:016x}"


async def test_a_call_that_is_taken_up_after_a_restart_begins_a_trace_that_its_answer_goes_on_with(
    on: Traces, exporter: InMemorySpanExporter
) -> None:
    async def ask(_: Answer) -> None: ...

    await followed("payments", ask)(Answer("a"))
    trail = Trail("payments", on, keeps=True)
    assert len([each async for each in TracedBatch(trail, (Input(0, Answer("a")),))]) == 1
    trail.reach("input acknowledged")
    asked, answer = exporter.get_finished_spans()
    assert (asked.attributes or {})["order.id"] == "a"
    assert asked.context.trace_id == answer.context.trace_id


async def test_what_is_not_sampled_stays_so_downstream_and_costs_no_span(
    exporter: InMemorySpanExporter,
) -> None:
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    batch = TracedBatch(Trail("orders", Traces(provider.get_tracer("test")), keeps=False), (given("a"),))
    async for _, message in batch:
        batch.send(message)
    assert not int(sent(batch)[0].split("-")[3], 16) & 1
    assert not exporter.get_finished_spans()


async def test_what_nobody_is_told_of_is_passed_on_as_it_is(
    traces: Traces, exporter: InMemorySpanExporter
) -> None:
    left_out = SAMPLED[:-2] + b"02"
    trail = Trail("payments", traces, keeps=True)
    batch = TracedBatch(trail, (given("a", [("traceparent", left_out)]),))
    async for _, message in batch:
        batch.send(message)
        batch.after_commit(lambda: None)
    trail.reach("input acknowledged")
    assert sent(batch) == [left_out.decode()]
    assert traces.kept("payments").find("a") is not None
    assert not exporter.get_finished_spans()


async def test_a_header_that_is_no_trace_is_no_cause(traces: Traces, exporter: InMemorySpanExporter) -> None:
    trail = Trail("orders", traces, keeps=False)
    stray: list[Headers] = [[("traceparent", b"\xff\xfe")], [("traceparent", b"")], [("other", b"x")]]
    assert len(
        [each async for each in TracedBatch(trail, tuple(given("a", headers) for headers in stray))]
    ) == len(stray)
    trail.reach("input acknowledged")
    assert [span.parent for span in exporter.get_finished_spans()] == [None] * len(stray)


def test_an_error_is_named_and_not_quoted(traces: Traces, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="tok_secret"), traces.call("POST", "provider:80"):
        raise ValueError("tok_secret")
    (span,) = exporter.get_finished_spans()
    assert "tok_secret" not in span.to_json()
    assert span.status.description == "ValueError"


def test_what_is_kept_is_bounded(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    some = Kept()
    _, within = traces.handle("any", None)
    for order_id in ("a", "b", "a", "c"):
        some.keep(order_id, within)
    assert [some.find(order_id) is None for order_id in ("a", "b", "c")] == [False, True, False]


def test_a_worker_that_can_not_trace_says_so_without_what_the_endpoint_says_of_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "NEEDED", ("no_such_module",))
    settings = Settings.model_validate({"tracing": {"endpoint": "http://shop:hush@collector:4318"}})
    with pytest.raises(
        WorkerRefused, match=r"^tracing\.endpoint is set, and OpenTelemetry is not installed"
    ) as said:
        tracing.set_up(settings)
    assert "hush" not in str(said.value)
