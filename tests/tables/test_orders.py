"""Which orders wait is known from the rows alone, whatever a crash keeps of them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from app.delivery.batch import Batch
from app.delivery.state import NotHere
from models.order import Order
from models.saga import OrderEvent, evolve
from tables.orders import (
    OPEN,
    coder,
    due,
    find_open,
    find_waiting,
    limits,
    oldest_unsettled_s,
    save_order,
    take_up,
    unsettled,
)
from tests.models.scenario import (
    created,
    declined,
    deducted,
    insufficient,
    moment,
    paid,
    refund_requested,
    refunded,
    released,
    returned,
)

Rows = dict[bytes, bytes | None]

LIVES: Mapping[str, tuple[OrderEvent, ...]] = {
    "opened": (created(),),
    "paying": (created(), deducted()),
    "cancelling": (created(), deducted(), declined()),
    "completed": (created(), deducted(), paid()),
    "refused": (created(), insufficient()),
    "cancelled": (created(), deducted(), declined(), released()),
    "taken back": (created(), deducted(), paid(), refund_requested()),
}


@pytest.fixture(autouse=True)
def nothing_due() -> Iterator[None]:
    """Begin and end with no order in memory."""
    for memory in (due, unsettled):
        memory.clear()
    yield
    for memory in (due, unsettled):
        memory.clear()


def live(batch: Batch, events: tuple[OrderEvent, ...], before: Order | None = None) -> Order:
    """Take an order through the events as its agent does, within one batch."""
    for event in events:
        after = evolve(before, event)
        assert after is not None
        save_order(batch, 0, before, after)
        before = after
    assert before is not None
    return before


def records(batch: Batch) -> list[tuple[bytes, bytes | None]]:
    return [
        (bytes(record["key"] or b""), record["value"]) for rows in batch.rows().values() for record in rows
    ]


def waiting(rows: Rows) -> list[bytes]:
    return [key.removeprefix(OPEN) for key, value in rows.items() if key.startswith(OPEN) and value]


def stored(rows: Rows) -> Order | None:
    raw = rows.get(b"order-1")
    return None if raw is None else coder.decode(raw)


def put_in_place(monkeypatch: Any, rows: Rows) -> None:
    """Have the table hold these rows, in partition 0, which is this worker's."""
    kept = {key: value for key, value in rows.items() if value is not None}
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    monkeypatch.setattr("app.delivery.state.State.get", lambda _, __, key: kept.get(key))
    monkeypatch.setattr(
        "app.delivery.state.State.scan",
        lambda _, __, prefix: iter([row for row in kept.items() if row[0].startswith(prefix)]),
    )


@pytest.mark.parametrize("life", LIVES)
def test_an_order_is_found_open_for_as_long_as_it_is_not_settled(life: str, monkeypatch: Any) -> None:
    batch = Batch(())
    order = live(batch, LIVES[life])
    rows = dict(records(batch))
    put_in_place(monkeypatch, rows)
    assert list(find_open()) == ([] if order.settled else [(0, b"order-1")])
    assert find_waiting(0, b"order-1") == (None if order.settled else order)


def cuts(life: str) -> Iterator[tuple[str, int]]:
    return ((life, cut) for cut in range(len(LIVES[life])))


@pytest.mark.parametrize(("life", "cut"), [each for life in LIVES for each in cuts(life)])
def test_whatever_a_crash_keeps_of_the_changelog_no_order_that_waits_is_left_out(life: str, cut: int) -> None:
    """Let the first events be of one batch and the rest of the next, which a crash may cut anywhere."""
    first, second = Batch(()), Batch(())
    before = live(first, LIVES[life][:cut]) if cut else None
    live(second, LIVES[life][cut:], before)
    rows: Rows = {}
    for key, value in records(first) + records(second):
        rows[key] = value
        order = stored(rows)
        assert order is None or order.settled or waiting(rows) == [b"order-1"]


@pytest.mark.parametrize("life", LIVES)
def test_a_batch_that_comes_again_after_any_crash_leaves_the_rows_as_they_would_have_been(life: str) -> None:
    batch = Batch(())
    live(batch, LIVES[life])
    whole = records(batch)
    for kept in range(len(whole) + 1):
        rows = dict(whole[:kept])
        again = Batch(())
        live(again, LIVES[life], stored(rows))
        rows.update(records(again))
        order = stored(rows)
        assert order is not None
        assert {key: value for key, value in rows.items() if value} == {
            key: value for key, value in dict(whole).items() if value
        }


def test_an_order_costs_one_small_row_when_it_is_opened_and_its_end_when_it_is_settled() -> None:
    order = None
    written = []
    for event in LIVES["completed"]:
        batch = Batch(())
        order = live(batch, (event,), order)
        written.append([key for key, _ in records(batch)])
    assert written == [[OPEN + b"order-1", b"order-1"], [b"order-1"], [b"order-1", OPEN + b"order-1"]]


def test_no_order_can_be_called_what_the_key_of_a_waiting_one_is_called() -> None:
    with pytest.raises(UnicodeDecodeError):
        OPEN.decode()


def test_an_order_is_due_once_its_batch_lasts_and_not_before(monkeypatch: Any) -> None:
    batch = Batch(())
    live(batch, LIVES["paying"])
    assert due.held_bytes == 0
    for callback in batch.afterwards:
        callback()
    pending_s = limits.pending.total_seconds()
    assert due.take(moment(pending_s - 0.1).timestamp(), 9) is None
    assert due.take(moment(pending_s).timestamp(), 9) == (0, [b"order-1"])
    put_in_place(monkeypatch, dict(records(batch)))


def test_a_worker_that_takes_a_partition_over_looks_at_all_that_waits_and_forgets_what_it_knew(
    monkeypatch: Any,
) -> None:
    batch = Batch(())
    live(batch, LIVES["paying"])
    put_in_place(monkeypatch, dict(records(batch)))
    due.put(5, b"of a partition that has gone", 0)
    take_up()
    assert due.take(0, 9) == (0, [b"order-1"])
    assert due.take(10**12, 9) is None


def test_an_order_of_a_partition_that_has_gone_is_not_found(monkeypatch: Any) -> None:
    def gone(*_: object) -> bytes:
        raise NotHere

    monkeypatch.setattr("app.delivery.state.State.get", gone)
    assert find_waiting(0, b"order-1") is None


def lasts(batch: Batch) -> None:
    """Have the batch committed."""
    for callback in batch.afterwards:
        callback()


def oldest_since_s() -> float | None:
    """Return since when the oldest order waits, None where none does."""
    age_s = oldest_unsettled_s()
    return datetime.now(UTC).timestamp() - age_s if age_s else None


@pytest.fixture
def here(monkeypatch: Any) -> None:
    """Have this worker own partition 0."""
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))


@pytest.mark.usefixtures("here")
def test_the_oldest_order_is_found_whatever_it_is_called_and_however_many_wait(monkeypatch: Any) -> None:
    batch = Batch(())
    for number in range(300):
        live(batch, (created(order=f"order-{number:03}", at=60 + number),))
    live(batch, (created(order="zz-of-a-key", at=0),))
    put_in_place(monkeypatch, dict(records(batch)))
    lasts(batch)
    assert oldest_since_s() == pytest.approx(moment(0).timestamp(), abs=1)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("life", LIVES)
def test_an_order_is_old_for_as_long_as_it_waits_from_when_it_was_made_or_its_refund_asked_for(
    life: str,
) -> None:
    batch = Batch(())
    order = live(batch, LIVES[life])
    assert oldest_since_s() is None
    lasts(batch)
    first = refund_requested() if life == "taken back" else created()
    since = pytest.approx(first.at.timestamp(), abs=1)
    assert oldest_since_s() == (None if order.settled else since)


@pytest.mark.usefixtures("here")
def test_an_order_that_is_taken_back_is_as_old_as_the_wish_for_it() -> None:
    sold, back, done = Batch(()), Batch(()), Batch(())
    order = live(sold, LIVES["completed"])
    order = live(back, (refund_requested(at=90_000),), order)
    for batch in (sold, back):
        lasts(batch)
    assert oldest_since_s() == pytest.approx(moment(90_000).timestamp(), abs=1)
    order = live(done, (returned(), refunded()), order)
    assert order.settled
    lasts(done)
    assert oldest_since_s() is None


@pytest.mark.usefixtures("here")
def test_an_order_of_a_partition_that_has_gone_is_not_old(monkeypatch: Any) -> None:
    batch = Batch(())
    live(batch, LIVES["paying"])
    lasts(batch)
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({1}))
    assert oldest_since_s() is None
