"""Statistics by minute: written by the analytics agent alone, each partition its share of the orders.

Beside the minutes, and what each sold of each SKU, stands which news is counted: the same news may come in
another record, when the stage that said it had to say it again. Each row knows up to which offset it counts
its partition, and news is marked as counted behind all of them. So a crash at any point leaves rows that go
on where they were when the records come again: what has counted them passes them over, the rest does not.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import NamedTuple

from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.delivery.turn import Turn
from app.main import delivery
from app.settings import current
from models.analytics import Minute, Placed, Units, count, count_units, minute_of

state = delivery.table("analytics", stage="analytics")
minutes = Coder(Minute)
units = Coder(Units)

RETENTION = timedelta(minutes=current().analytics.retention_minutes)

MINUTE = b"minute/"
SOLD = b"sold/"
COUNTED = b"counted/"
KINDS = (MINUTE, SOLD, COUNTED)

SWEPT = 500
"""How many rows of each kind a batch deletes at most of a partition, beyond as many as it adds there."""

_swept: dict[tuple[int, bytes], bytes] = {}
"""The last row that was deleted, by partition and kind: looking for more begins there, behind all tombstones.

What a clock that was put back lets in ahead of it is found once the partition is recovered again.
"""


class Known(NamedTuple):
    """Be what one partition knows of a minute."""

    at: datetime
    minute: Minute


class Sold(NamedTuple):
    """Be how many units of a SKU were sold in a minute, as one partition knows it."""

    at: datetime
    sku: str
    units: int


def count_news(batch: Batch, partition: int, news: Iterable[Placed], now: datetime) -> None:
    """Count what is new of the news, and not too old to be known; their offsets rise."""
    oldest = now - RETENTION
    by_minute: defaultdict[datetime, list[Placed]] = defaultdict(list)
    for each in news:
        if (at := minute_of(each.event)) >= oldest and _mark(batch, partition, at, each):
            by_minute[at].append(each)
    added = Counter({COUNTED: sum(map(len, by_minute.values())), MINUTE: len(by_minute)})
    for at, placed in by_minute.items():
        added[SOLD] += _count(batch, partition, _date(at), placed)
    for kind in KINDS:
        _sweep(batch, partition, kind, _date(oldest), SWEPT + added[kind])


@state.on_recovered
def sweep_anew() -> None:
    """Look for what is too old from the beginning on: others may have swept meanwhile, or nobody."""
    _swept.clear()


async def find_minutes(partition: int, since: datetime, turn: Turn) -> AsyncIterator[Known]:
    """Yield what a partition knows of the minutes from then on, and give way meanwhile.

    Raises:
        NotHere: this worker does not own it, or no longer.
    """
    async for key, raw in state.walk(partition, MINUTE, MINUTE + _just_before(since), turn):
        yield Known(_moment(key.removeprefix(MINUTE)), minutes.decode(raw))


async def find_sold(partition: int, since: datetime, turn: Turn) -> AsyncGenerator[Sold, None]:
    """Yield the units that a partition knows as sold from then on, less what came back; give way meanwhile.

    Raises:
        NotHere: this worker does not own it, or no longer.
    """
    async for key, raw in state.walk(partition, SOLD, SOLD + _just_before(since), turn):
        date, _, sku = key.removeprefix(SOLD).partition(b"/")
        yield Sold(_moment(date), sku.decode(), units.decode(raw).sold)


def _mark(batch: Batch, partition: int, at: datetime, news: Placed) -> bool:
    """Mark the news as counted; False where another record of it is."""
    key = b"%b%b/%b" % (COUNTED, _date(at), news.event.event_id.encode())
    offset = b"%d" % news.offset
    if batch.read(state, partition, key) not in (None, offset):
        return False
    batch.write(state, partition, key, offset, place=Place.LAST)
    return True


def _count(batch: Batch, partition: int, date: bytes, news: list[Placed]) -> int:
    """Count the news in their minute; return of how many SKUs."""
    key = MINUTE + date
    before = batch.load(state, partition, key, minutes) or Minute()
    batch.save(state, partition, key, count(before, news), minutes, place=Place.FIRST)
    by_sku: defaultdict[str, list[Placed]] = defaultdict(list)
    for each in news:
        for sku in {line.sku for line in each.event.lines}:
            by_sku[sku].append(each)
    for sku, about in by_sku.items():
        key = b"%b%b/%b" % (SOLD, date, sku.encode())
        sold = batch.load(state, partition, key, units) or Units()
        batch.save(state, partition, key, count_units(sold, sku, about), units, place=Place.FIRST)
    return len(by_sku)


def _sweep(batch: Batch, partition: int, kind: bytes, date: bytes, most: int) -> None:
    old = [*islice(_before(partition, kind, date), most)]
    for key in old:
        batch.write(state, partition, key, None, place=Place.LAST)
    if old:
        batch.after_commit(partial(_swept.update, {(partition, kind): old[-1]}))


def _before(partition: int, kind: bytes, date: bytes) -> Iterator[bytes]:
    for key, _ in state.scan(partition, kind, _swept.get((partition, kind), b"")):
        if key >= kind + date:
            return
        yield key


def _date(at: datetime) -> bytes:
    """Return the minute as it is in keys: sorted by time."""
    return b"%010d" % (at.timestamp() // 60)


def _just_before(at: datetime) -> bytes:
    """Return what comes behind all keys of the minute before."""
    return _date(at - timedelta(minutes=1)) + b"\xff"


def _moment(date: bytes) -> datetime:
    return datetime.fromtimestamp(int(date) * 60, UTC)
