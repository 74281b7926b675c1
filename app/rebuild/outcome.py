"""What a rebuild has come to: counts, differences and what was asked for; one a process, added up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from models.stock import StockItem


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Be one thing in which a live row is not what the topics make it."""

    table: str
    row: str
    field: str
    rebuilt: str
    live: str


@dataclass(kw_only=True)
class Outcome:
    """Be what came of the partitions that were seen to; `left_out` counts rows with input in flight.

    `grounds` says how the orders were made anew, and `open_order` how many live rows came about in an order
    of their events that only their own timelines tell.
    """

    at_most: int
    records: int = 0
    unreadable: int = 0
    live_records: int = 0
    written: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    payments: Counter[str] = field(default_factory=Counter)
    grounds: Counter[str] = field(default_factory=Counter)
    stock: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    open_order: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    items: list[StockItem] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def differs(self, table: str, row: str, field_: str, rebuilt: object, live: object) -> None:
        """Note a difference; all are counted, and as many kept as are shown."""
        self.found[table] += 1
        if len(self.differences) < self.at_most:
            known = Difference(table=table, row=row, field=field_, rebuilt=str(rebuilt), live=str(live))
            self.differences.append(known)

    def count_stock(self, item: StockItem) -> None:
        """Count a SKU."""
        self.stock["SKUs"] += 1
        for name in ("available", "reserved", "sold", "restocked"):
            self.stock[name] += getattr(item, name)
        if len(self.items) < self.at_most:
            self.items.append(item)

    def add(self, other: "Outcome") -> None:
        """Add what came of other partitions."""
        for name in ("records", "unreadable", "live_records", "written"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("orders", "payments", "grounds", "stock", "left_out", "open_order", "found"):
            getattr(self, name).update(getattr(other, name))
        room = self.at_most
        self.differences = (self.differences + other.differences)[:room]
        self.items = sorted(self.items + other.items, key=lambda item: item.sku)[:room]
        self.shown += other.shown
        for phase, seconds in other.seconds.items():
            self.seconds[phase] = max(seconds, self.seconds.get(phase, 0.0))
