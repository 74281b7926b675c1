"""Rule 2, seen from the SKU: at every prefix all that came in is somewhere, and nothing negative; pure.

What a prefix is. The stock keeper of a SKU reads five topics (restocks, requests, releases, sales, returns)
and says in a sixth, keyed by order and so spread over all partitions, what it has reserved. No topic has the
order in which it took things in. What is left is the log's time: the broker dates every record, so a prefix
is all that was recorded up to an instant. By then,

- each reservation announced had been made;
- no restock, release or return that was not yet recorded had been taken in.

So the reservations announced by an instant, less those whose release or return was asked for by then, can't
be more than what was restocked by then, unless something was oversold. This never accuses the innocent. It
may miss an oversale that was healed, by a restock, a release or a return, before the log could show it. Where
several brokers date the records, their clocks may differ: what heals then counts earlier by so much.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from app.audit.facts import Place
from app.audit.offences import Kind, Offence


@dataclass(frozen=True, kw_only=True, slots=True)
class Movement:
    """Be one change of a SKU's counters, from one instant on; `cause` is the order or the restock."""

    sku: str
    at: datetime
    cause: str
    place: Place
    available: int = 0
    reserved: int = 0
    sold: int = 0
    restocked: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """Be the counters of one SKU."""

    available: int = 0
    reserved: int = 0
    sold: int = 0
    restocked: int = 0

    def moved(self, by: Movement) -> "Counters":
        """Return the counters after a movement."""
        return Counters(
            available=self.available + by.available,
            reserved=self.reserved + by.reserved,
            sold=self.sold + by.sold,
            restocked=self.restocked + by.restocked,
        )

    @property
    def is_negative(self) -> bool:
        """Tell whether one of them is below zero."""
        return min(self.available, self.reserved, self.sold, self.restocked) < 0

    @property
    def adds_up(self) -> bool:
        """Tell whether all that came in is somewhere."""
        return self.restocked == self.available + self.reserved + self.sold

    def __str__(self) -> str:
        return (
            f"{self.available} available, {self.reserved} reserved, {self.sold} sold"
            f" of {self.restocked} restocked"
        )


@dataclass(frozen=True, kw_only=True)
class StockVerdict:
    """Be what became of one SKU: its counters in the end, and the first offence of each kind on the way.

    `passed_over` says that a prefix has still to be judged, when more of the topics has been read.
    """

    counters: Counters
    prefixes: int
    offences: tuple[Offence, ...]
    passed_over: bool


def check_stock(
    sku: str, movements: Iterable[Movement], is_judged: Callable[[Place], bool] = lambda _: True
) -> StockVerdict:
    """Return the verdict on one SKU, from its movements in the order of their times.

    A prefix that ends with reservations whose restock may not have been read is passed over.
    """
    counters, prefixes, offences, passed_over = Counters(), 0, dict[Kind, Offence](), False
    for _, together in groupby(movements, attrgetter("at")):
        taken: list[Place] = []
        last: Place | None = None
        for movement in together:
            counters, last = counters.moved(movement), movement.place
            if movement.available < 0:
                taken.append(movement.place)
        prefixes += 1
        if taken and not any(map(is_judged, taken)):
            passed_over = True
            continue
        for offence in _check(sku, counters, taken[-1] if taken else last):
            offences.setdefault(offence.kind, offence)
    return StockVerdict(
        counters=counters, prefixes=prefixes, offences=tuple(offences.values()), passed_over=passed_over
    )


def _check(sku: str, counters: Counters, place: Place | None) -> Iterator[Offence]:
    if counters.is_negative:
        yield Offence(
            kind=Kind.NEGATIVE_STOCK,
            subject=sku,
            expected="nothing below zero",
            found=str(counters),
            place=place,
        )
    if not counters.adds_up:
        yield Offence(
            kind=Kind.STOCK_SUM,
            subject=sku,
            expected="restocked = available + reserved + sold",
            found=str(counters),
            place=place,
        )
