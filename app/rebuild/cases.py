"""What the scratch store has of one order, or of one SKU: its records, decoded, and the rows beside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from app.delivery.codec import Undecodable, decode
from app.rebuild.layout import BY_SKU, KINDS, LAST, ORDER, STOCK, TOPICS, order_key, stock_key, unnamed
from app.rebuild.names import names_of
from app.scratch import Scratch
from models.events import InventoryDeducted, InventoryRestocked
from models.rebuild import orders, payments, stock

Pairs = Iterable[tuple[bytes, bytes]]
Group = list[tuple[bytes, bytes]]

_USES = [
    tuple(kind in kinds for kinds in (orders.RANK, orders.SAID_IN, payments.HEARD, payments.SAID))
    for kind in KINDS
]
"""Of each kind: whether orders hear it, orders say it, payments hear it, payments say it."""

_KEYED_BY_SKU = [topic in BY_SKU for topic in TOPICS]


@dataclass(slots=True)
class OrderCase:
    """Be one order: what it heard and said, what its payment did, and the live rows by their tags."""

    order_id: bytes
    events: list[Any] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)
    wishes: list[Any] = field(default_factory=list)
    news: list[Any] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    unreadable: int = 0


@dataclass(slots=True)
class HolderCase:
    """Be what one holder has to do with a SKU; `holder` is empty for the SKU itself."""

    sku: bytes
    holder: bytes
    deducted: InventoryDeducted | None = None
    restocked: InventoryRestocked | None = None
    asked: list[stock.Settling] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def line(self) -> stock.Line | None:
        """Return what the keeper must have come to, None where that is nothing."""
        if self.restocked is not None:
            return stock.restock_line(self.restocked)
        return stock.keep_line(self.deducted, self.asked)


def order_cases(scratch: Scratch, order_id: bytes | None = None) -> Iterator[OrderCase]:
    """Yield every order of the store, or the one, in the order of their ids."""
    rows = scratch.scan(ORDER if order_id is None else order_key(order_id))
    for name, start, group in _groups(rows, 1):
        yield _order_case(name, start, group)


def sku_cases(scratch: Scratch, sku: bytes | None = None) -> Iterator[tuple[bytes, Iterator[HolderCase]]]:
    """Yield every SKU of the store, or the one, with its holders: the SKU itself first."""
    rows = scratch.scan(STOCK if sku is None else stock_key(sku)[:-2])
    for (name, start), group in groupby(rows, lambda row: unnamed(row[0], 1)):
        yield name, _holder_cases(name, start, group)


def _holder_cases(sku: bytes, first: int, rows: Pairs) -> Iterator[HolderCase]:
    for holder, start, group in _groups(rows, first):
        yield _holder_case(HolderCase(sku, holder), start, group)


def _groups(rows: Pairs, first: int) -> Iterator[tuple[bytes, int, Group]]:
    """Yield rows that belong together: the name that begins at `first`, where it ends, and its rows."""
    prefix, start, group = b"", 0, Group()
    for row in rows:
        if not row[0].startswith(prefix) or not group:
            if group:
                yield prefix[first + 2 :], start, group
            start = unnamed(row[0], first)[1]
            prefix, group = row[0][:start], []
        group.append(row)
    if group:
        yield prefix[first + 2 :], start, group


def _order_case(order_id: bytes, start: int, rows: Group) -> OrderCase:
    case = OrderCase(order_id)
    stop = start + 8
    for key, raw in rows:
        if key.startswith(LAST, start):
            case.rows[key[stop:]] = raw
            continue
        number = key[stop]
        # The key of what is keyed by SKU is not here; that it is its message's was seen with its SKU.
        owner = names_of(raw).sku.encode() if _KEYED_BY_SKU[number] else order_id
        try:
            message = decode(TOPICS[number], owner, raw, int.from_bytes(key[start:stop], "big"))
        except Undecodable:  # the stages put it aside as well
            case.unreadable += 1
            continue
        is_event, is_said, is_wish, is_news = _USES[number]
        if is_event:
            case.events.append(message)
        if is_said:
            case.said.append(message)
        if is_wish:
            case.wishes.append(message)
        if is_news:
            case.news.append(message)
    return case


def _holder_case(case: HolderCase, start: int, rows: Group) -> HolderCase:
    for key, raw in rows:
        if key.startswith(LAST, start):
            case.rows[key[start + 8 :]] = raw
            continue
        number = key[start + 8]
        owner = case.sku if _KEYED_BY_SKU[number] else case.holder
        try:
            message: Any = decode(TOPICS[number], owner, raw, int.from_bytes(key[start : start + 8], "big"))
        except Undecodable:
            continue
        if isinstance(message, InventoryDeducted):
            case.deducted = case.deducted or message
        elif isinstance(message, InventoryRestocked):
            case.restocked = case.restocked or message
        else:
            case.asked.append(message)
    return case
