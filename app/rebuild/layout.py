"""What is read, how it is sorted in the scratch store, and how the tables' rows are called."""

from collections.abc import Mapping
from types import MappingProxyType

from app.topics import changelog_of
from models.commands import (
    RequestInventory,
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestInventorySale,
    RequestPayment,
    RequestPaymentRefund,
)
from models.events import InventoryDeducted, InventoryRestocked
from models.messages import Message
from models.rebuild import orders, payments

SETTLING: tuple[type[Message], ...] = (
    RequestInventoryRelease,
    RequestInventorySale,
    RequestInventoryReturn,
)
BY_ORDER: tuple[type[Message], ...] = tuple(
    dict.fromkeys((*orders.RANK, RequestPayment, RequestPaymentRefund, *payments.SAID, *orders.SAID_IN))
)
KINDS: tuple[type[Message], ...] = (
    *(kind for kind in BY_ORDER if kind not in SETTLING),
    *SETTLING,
    InventoryRestocked,
    RequestInventory,
)
"""Every kind that is read, a cause before its effects: so those are sorted that the log dates alike.

Of the requests for stock only those that are not worked on yet: what became of the rest, its answers say.
"""

NUMBERS: Mapping[str, int] = MappingProxyType({kind.type: number for number, kind in enumerate(KINDS)})
TOPICS = tuple(NUMBERS)
SPREAD = frozenset({InventoryDeducted.type})
"""What lies with its order, and is needed with its SKU."""

RETOLD = frozenset({RequestInventoryRelease.type, RequestInventoryReturn.type})
"""What lies with its SKU, and is needed with its order."""

BY_SKU = frozenset({*(kind.type for kind in SETTLING), InventoryRestocked.type, RequestInventory.type})


TABLES = ("orders", "inventory", "payments")
"""What is made anew."""

CHANGELOGS: Mapping[str, str] = MappingProxyType({changelog_of(table): table for table in TABLES})

ORDER, STOCK = b"o", b"s"
LAST = b"\xff" * 8
"""In the place of the time: behind all records."""


class Tag:
    """Name what stands behind the records of an order or a holder: live rows, and what is in flight."""

    ORDER = b"\x00"
    ORDER_OPEN = b"\x01"
    PAYMENT = b"\x02"
    PAYMENT_OPEN = b"\x03"
    ITEM = b"\x04"
    HOLD = b"\x05"
    ORDER_IN_FLIGHT = b"\x06"
    PAYMENT_IN_FLIGHT = b"\x07"
    STOCK_IN_FLIGHT = b"\x08"


ORDERS_OPEN = b"\xffopen/"
PAYMENTS_ROW, PAYMENTS_OPEN = b"payment/", b"open/"
ITEM_ROW, HOLD_ROW = b"item/", b"hold/"
"""How the keys of the tables begin, as `tables/` has them: a test holds the two together."""


def named(name: bytes) -> bytes:
    """Return the name so that none is the beginning of another's key."""
    return len(name).to_bytes(2, "big") + name


def unnamed(key: bytes, start: int) -> tuple[bytes, int]:
    """Return the name that begins there, and where it ends."""
    first = start + 2
    end = first + int.from_bytes(key[start:first], "big")
    return key[first:end], end


def order_key(order_id: bytes) -> bytes:
    """Return how the keys of all about an order begin."""
    return b"o%b%b" % (len(order_id).to_bytes(2, "big"), order_id)


def stock_key(sku: bytes, holder: bytes = b"") -> bytes:
    """Return how the keys of all about a holder's line of a SKU begin; of no holder, the SKU's own."""
    return STOCK + named(sku) + named(holder)


def row_key(table: str, key: bytes) -> bytes | None:
    """Return where the scratch store has a row of a table, None for what is no state."""
    match table:
        case "orders":
            if key.startswith(ORDERS_OPEN):
                return order_key(key.removeprefix(ORDERS_OPEN)) + LAST + Tag.ORDER_OPEN
            return order_key(key) + LAST + Tag.ORDER
        case "payments":
            for prefix, tag in ((PAYMENTS_ROW, Tag.PAYMENT), (PAYMENTS_OPEN, Tag.PAYMENT_OPEN)):
                if key.startswith(prefix):
                    return order_key(key.removeprefix(prefix)) + LAST + tag
            return None
        case _:
            if key.startswith(ITEM_ROW):
                return stock_key(key.removeprefix(ITEM_ROW)) + LAST + Tag.ITEM
            sku, _, holder = key.removeprefix(HOLD_ROW).partition(b"/")
            return stock_key(sku, holder) + LAST + Tag.HOLD
