"""What a worker knows of the last minutes, and how one tells another: in lines, each read within a turn.

However much there is, no more of it is in memory than an answer holds, and nobody waits for it meanwhile.
"""

import asyncio
from collections import defaultdict
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct, json

from app.delivery.turn import Turn
from models.analytics import Minute, merge
from tables import queries

LISTED = 1_440
"""Of how many minutes each is told by itself, at most: of the last ones."""

UNITS_LISTED = 10
"""For how many minutes at most the units of each SKU are told of each by itself."""

MOST_SKUS = 10_000
"""The units of how many SKUs are told, at most."""

MOST_ROWS = 500_000
"""From how many rows a worker sums these units, at most: some seconds of its time."""

AT_ONCE = 10
"""How many minutes are put together between two looks at the time."""


class Window(NamedTuple):
    """Be which minutes are asked for: so many, from the first on."""

    since: datetime
    minutes: int

    @property
    def listed_from(self) -> datetime:
        """Return the first minute that is told by itself."""
        return self.since + timedelta(minutes=max(0, self.minutes - LISTED))

    @property
    def has_units_listed(self) -> bool:
        """Tell whether units are told of each minute."""
        return self.minutes <= UNITS_LISTED


class _Head(Struct, frozen=True):
    partitions: list[int]
    before: Minute
    units: dict[str, int] | None


class _Line(Struct, frozen=True):
    at: datetime
    minute: Minute
    units: dict[str, int]


_encode = json.Encoder().encode
_decode_head = json.Decoder(_Head).decode
_decode_line = json.Decoder(_Line).decode
_walking = asyncio.Lock()


class Share:
    """Be what some partitions know of a window; `before` is what comes before the minutes that are listed.

    `units` are those of all minutes together: None where there is too much to be summed.
    """

    def __init__(self, window: Window) -> None:
        self.partitions: list[int] = []
        self.before = Minute()
        self.minutes: dict[datetime, Minute] = {}
        self.units: dict[str, int] | None = {}
        self._units_of: defaultdict[datetime, dict[str, int]] = defaultdict(dict)
        self._window = window
        self._rows = 0

    def count(self, at: datetime, minute: Minute) -> None:
        """Add what is known of a minute."""
        if at < self._window.listed_from:
            self.before = merge((self.before, minute))
        else:
            self.minutes[at] = merge((self.minutes[at], minute)) if at in self.minutes else minute

    def sell(self, at: datetime, sku: str, units: int) -> bool:
        """Add the units of a row; False where there have been too many rows, or SKUs."""
        self._rows += 1
        if self._rows > MOST_ROWS:
            self.units = None
        self._add(sku, units)
        if self._window.has_units_listed:
            _add(self._units_of[at], sku, units)
        return self.units is not None

    def units_in(self, at: datetime) -> dict[str, int] | None:
        """Return the units of a minute; None where they are not told of each."""
        told = self._window.has_units_listed and self.units is not None
        return self._units_of.get(at, {}) if told else None

    async def whole(self, turn: Turn) -> Minute:
        """Return all minutes together."""
        whole, each = self.before, [*self.minutes.values()]
        for first in range(0, len(each), AT_ONCE):
            whole = merge((whole, *each[first : first + AT_ONCE]))
            await turn.look()
        return whole

    async def lines(self, turn: Turn) -> bytes:
        """Return what another worker is told."""
        lines = [_encode(_Head(self.partitions, self.before, self.units))]
        for at, minute in self.minutes.items():
            lines.append(_encode(_Line(at, minute, self._units_of.get(at, {}))))
            await turn.look()
        return b"\n".join(lines)

    async def take_in(self, told: bytes, turn: Turn) -> None:
        """Add what another worker has told."""
        first, *lines = told.split(b"\n")
        head = _decode_head(first)
        self.partitions += head.partitions
        self.before = merge((self.before, head.before))
        if head.units is None:
            self.units = None
        for sku, units in (head.units or {}).items():
            self._add(sku, units)
        for each in lines:
            line = _decode_line(each)
            self.count(line.at, line.minute)
            for sku, units in line.units.items():
                _add(self._units_of[line.at], sku, units)
            await turn.look()

    def _add(self, sku: str, units: int) -> None:
        if self.units is not None:
            _add(self.units, sku, units)
            if len(self.units) > MOST_SKUS:
                self.units = None


async def own_share(window: Window, turn: Turn) -> Share:
    """Return what this worker knows. One asks at a time: the work, and the memory, is that of one.

    Raises:
        NotHere: partitions have moved meanwhile.
    """
    async with _walking:
        share = Share(window)
        share.partitions = sorted(queries.analytics_partitions())
        for partition in share.partitions:
            async for at, minute in queries.find_minutes(partition, window.since, turn):
                share.count(at, minute)
        for partition in share.partitions:
            if not await _sum_units(share, partition, window.since, turn):
                break
        return share


async def _sum_units(share: Share, partition: int, since: datetime, turn: Turn) -> bool:
    async with aclosing(queries.find_sold(partition, since, turn)) as rows:
        async for at, sku, units in rows:
            if not share.sell(at, sku, units):
                return False
    return True


def _add(units: dict[str, int], sku: str, more: int) -> None:
    units[sku] = units.get(sku, 0) + more
