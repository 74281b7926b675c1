"""The statistics of a minute: each end once, whatever comes again, and times that are nearly exact."""

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.analytics import (
    Minute,
    Placed,
    Units,
    bucket_of,
    count,
    count_units,
    highest_in,
    merge,
    minute_of,
    percentile,
)
from models.events import AnalyticsEvent, UnitsOf
from models.messages import derive_id

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def news(order: str = "one", status: str = "COMPLETED", **changed: Any) -> AnalyticsEvent:
    """Return the news of one end."""
    facts: dict[str, Any] = {
        "occurred_at": START,
        "reason": None,
        "currency": "EUR",
        "total": 700,
        "units": 3,
        "lines": (UnitsOf(sku="mug", quantity=2), UnitsOf(sku="cup", quantity=1)),
        "settled_in_ms": 245,
        "reserved_in_ms": 45,
        "paid_in_ms": 200,
    }
    return AnalyticsEvent(
        event_id=derive_id("ANALYTICS_EVENTS", order, status),
        correlation_id=order,
        causation_id=order,
        order_id=order,
        status=status,
        **{**facts, **changed},
    )


def placed(*events: AnalyticsEvent) -> list[Placed]:
    return [Placed(offset, event) for offset, event in enumerate(events)]


MIXED = placed(
    news("one"),
    news("two", currency="USD", total=50),
    news("three", "CANCELLED", reason="PAYMENT_DECLINED", total=9_000),
    news("four", "CANCELLED", reason="INVENTORY_INSUFFICIENT", reserved_in_ms=None, paid_in_ms=None),
    news("one", "REFUNDED"),
)


def test_a_minute_has_ends_reasons_and_what_was_left_of_the_revenue() -> None:
    minute = count(Minute(), MIXED)
    assert minute.ends == {"COMPLETED": 2, "CANCELLED": 2, "REFUNDED": 1}
    assert minute.reasons == {"PAYMENT_DECLINED": 1, "INVENTORY_INSUFFICIENT": 1}
    assert minute.revenue == {"EUR": 0, "USD": 50}
    assert (sum(minute.reserve.values()), sum(minute.pay.values()), sum(minute.whole.values())) == (3, 3, 4)


def test_units_are_those_sold_less_those_taken_back() -> None:
    assert count_units(Units(), "mug", MIXED).sold == 2
    assert count_units(Units(), "cup", MIXED).sold == 1


@given(st.lists(st.tuples(st.integers(0, len(MIXED)), st.integers(0, len(MIXED)))))
def test_records_that_come_again_in_any_batches_are_counted_once(again: list[tuple[int, int]]) -> None:
    minute, sold, reached = Minute(), Units(), 0
    for back, ahead in [*again, (0, len(MIXED))]:
        batch = MIXED[min(back, reached) : max(reached, ahead)]  # from what is counted, or before it
        reached = max(reached, ahead)
        minute, sold = count(minute, batch), count_units(sold, "mug", batch)
    assert minute == count(Minute(), MIXED)
    assert sold == count_units(Units(), "mug", MIXED)


@given(st.lists(st.booleans(), min_size=len(MIXED), max_size=len(MIXED)))
def test_partitions_together_are_what_one_would_be(left: list[bool]) -> None:
    parts = [
        count(Minute(), [each for each, here in zip(MIXED, left, strict=True) if here is side])
        for side in (True, False)
    ]
    whole = count(Minute(), MIXED)
    merged = merge(parts)
    for name in ("ends", "reasons", "revenue", "reserve", "pay", "whole"):
        assert {k: v for k, v in getattr(merged, name).items() if v} == {
            k: v for k, v in getattr(whole, name).items() if v
        }


@given(st.integers(0, 10**9))
def test_a_bucket_holds_its_times_to_a_thirty_second_part(ms: int) -> None:
    highest = highest_in(bucket_of(ms))
    assert ms <= highest <= ms + ms // 32
    assert bucket_of(highest) == bucket_of(ms)
    assert bucket_of(highest + 1) == bucket_of(ms) + 1


@given(st.lists(st.integers(0, 100_000), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_what_the_times_say_rounded_up(times: list[int], share: float) -> None:
    buckets: dict[int, int] = {}
    for ms in times:
        buckets[bucket_of(ms)] = buckets.get(bucket_of(ms), 0) + 1
    exact = sorted(times)[max(0, ceil(share * len(times)) - 1)]
    found = percentile(buckets, share)
    assert found is not None
    assert exact <= found <= exact + exact // 32


def test_of_no_times_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_an_end_belongs_to_the_minute_in_which_it_came_about() -> None:
    late = news(occurred_at=START + timedelta(seconds=59, milliseconds=999))
    assert minute_of(late) == START
