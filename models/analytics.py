"""What the statistics know of a minute: how orders ended in it, what they brought, and how long they took.

An end counts in the minute in which it came about, however late the news of it is. A row knows how far its
partition's records are counted in it, so a record that comes again changes nothing; the same news in another
record is told by its id (see `tables/analytics.py`).

Times are counted in buckets that grow with what they hold, 32 to each power of two, after G. Tene's
HdrHistogram: what is read from them is at most 1/32 too high.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

from msgspec import field
from msgspec.structs import replace

from models.events import AnalyticsEvent
from models.order import OrderStatus
from models.value import Value

K = TypeVar("K")

MINUTE = timedelta(minutes=1)

_SUB_BITS = 5
_EXACT = 1 << (_SUB_BITS + 1)

Times = dict[int, int]
"""How many, by the number of the bucket."""


class Placed(NamedTuple):
    """Be the news of an end, and the offset at which it stands in its partition."""

    offset: int
    event: AnalyticsEvent


class Minute(Value, frozen=True, kw_only=True):
    """Be one minute of one partition; `revenue` in minor units by currency, less what was given back.

    `counted_to` is the offset of the last record that is counted here; `reserve`, `pay` and `whole` are how
    many milliseconds orders took to be reserved, then paid, and all in all.
    """

    counted_to: int = -1
    ends: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    revenue: dict[str, int] = field(default_factory=dict)
    reserve: Times = field(default_factory=dict)
    pay: Times = field(default_factory=dict)
    whole: Times = field(default_factory=dict)


class Units(Value, frozen=True, kw_only=True):
    """Be how many units of a SKU were sold in one minute of one partition, less what was taken back."""

    counted_to: int = -1
    sold: int = 0


SIGN: Mapping[str, int] = {OrderStatus.COMPLETED: 1, OrderStatus.REFUNDED: -1}
"""Whether an end brings what the order was worth, or gives it back; others do neither."""


def minute_of(event: AnalyticsEvent) -> datetime:
    """Return the minute in which the end came about."""
    return event.occurred_at.astimezone(UTC).replace(second=0, microsecond=0)


def count(minute: Minute, news: Sequence[Placed]) -> Minute:
    """Return the minute with the ends that are not counted in it yet; their offsets rise."""
    fresh = [each for each in news if each.offset > minute.counted_to]
    if not fresh:
        return minute
    events = [each.event for each in fresh]
    ended = [event for event in events if event.status != OrderStatus.REFUNDED]
    return replace(
        minute,
        counted_to=fresh[-1].offset,
        ends=_more(minute.ends, (event.status for event in events)),
        reasons=_more(minute.reasons, (event.reason for event in events if event.reason)),
        revenue=_sum(minute.revenue, ((event.currency, event.total * _sign(event)) for event in events)),
        reserve=_more(minute.reserve, _buckets(event.reserved_in_ms for event in ended)),
        pay=_more(minute.pay, _buckets(event.paid_in_ms for event in ended)),
        whole=_more(minute.whole, _buckets(event.settled_in_ms for event in ended)),
    )


def count_units(units: Units, sku: str, news: Sequence[Placed]) -> Units:
    """Return a SKU's units with what the news that are not counted in them yet have sold of it."""
    fresh = [each for each in news if each.offset > units.counted_to]
    if not fresh:
        return units
    sold = sum(
        line.quantity * _sign(each.event) for each in fresh for line in each.event.lines if line.sku == sku
    )
    return Units(counted_to=fresh[-1].offset, sold=units.sold + sold)


def merge(minutes: Iterable[Minute]) -> Minute:
    """Return what these partitions, or minutes, are together."""
    known = [*minutes]
    return Minute(
        ends=_together(each.ends for each in known),
        reasons=_together(each.reasons for each in known),
        revenue=_together(each.revenue for each in known),
        reserve=_together(each.reserve for each in known),
        pay=_together(each.pay for each in known),
        whole=_together(each.whole for each in known),
    )


def percentile(times: Mapping[int, int], share: float) -> int | None:
    """Return how many milliseconds this share of them took at most, rounded up; None where there are none."""
    left = share * sum(times.values())
    for bucket, many in sorted(times.items()):
        left -= many
        if left <= 0:
            return highest_in(bucket)
    return None


def bucket_of(ms: int) -> int:
    """Return the number of the bucket that counts this time."""
    if ms < _EXACT:
        return ms
    shift = ms.bit_length() - _SUB_BITS - 1
    return (shift << _SUB_BITS) + (ms >> shift)


def highest_in(bucket: int) -> int:
    """Return the longest time that is counted in this bucket."""
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> _SUB_BITS) - 1
    return ((bucket - (shift << _SUB_BITS) + 1) << shift) - 1


def _sign(event: AnalyticsEvent) -> int:
    return SIGN.get(event.status, 0)


def _buckets(times: Iterable[int | None]) -> Iterable[int]:
    return (bucket_of(ms) for ms in times if ms is not None)


def _more(known: Mapping[K, int], names: Iterable[K]) -> dict[K, int]:
    return _sum(known, ((name, 1) for name in names))


def _together(parts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    return _sum({}, (pair for part in parts for pair in part.items()))


def _sum(known: Mapping[K, int], more: Iterable[tuple[K, int]]) -> dict[K, int]:
    summed = dict(known)
    for name, number in more:
        summed[name] = summed.get(name, 0) + number
    return summed
