"""What scenarios of the whole saga put into Kafka: valid orders, goods, states of settled orders; pure."""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, get_args
from uuid import UUID

from app.delivery.codec import Coder, encode
from models import saga, stock
from models.commands import RequestPayment, RequestPaymentRefund
from models.events import InventoryDeducted, InventoryRestocked, OrderCreated, OrderLine, PaymentCompleted
from models.messages import Envelope, Message, derive_id
from models.order import Order

READ_BY = MappingProxyType(
    {
        "orders": tuple(kind.type for kind in saga.AWAITED_IN),
        "inventory": tuple(kind.type for kind in get_args(stock.StockMessage)),
        "payments": (RequestPayment.type, RequestPaymentRefund.type),
    }
)
"""The topics that each stage of the saga reads."""

INPUTS = tuple(chain.from_iterable(READ_BY.values()))
"""The topics that a worker of the whole saga reads."""

SKUS = 1_000
PLENTY = 1_000_000
"""How much of a SKU nobody gets to the end of."""

UNIT_PRICE = 1_000
TOKEN = "tok_ok"  # noqa: S105  # the simulator's token is no secret
_START = datetime(2026, 1, 1, tzinfo=UTC)
_IDS = 0x018E_0000_0000_7000_8000_0000_0000_0000
_SAMPLE = "0123456789ab"  # stands for an order's number while a sample is made


class Record(NamedTuple):
    """Be a message or a row as Kafka takes it."""

    topic: str
    key: bytes
    value: bytes


def order_id(number: int) -> str:
    """Return the id of the order with this number: a UUID of version 7, whose time has long passed."""
    return str(UUID(int=_IDS + number))


def sku(number: int) -> str:
    """Return the SKU that the order with this number wants, named as those of the load generator are."""
    return f"load-sku-{number % SKUS + 1}"


def placed(numbers: Iterable[int]) -> Iterator[Record]:
    """Yield the orders with these numbers as HTTP would have accepted them: one line of one unit each."""
    return (_record(_created(order_id(number), sku(number))) for number in numbers)


def restocked(numbers: Iterable[int], quantity: int = PLENTY) -> Iterator[Record]:
    """Yield the goods that stock the SKUs with these numbers."""
    for number in numbers:
        event_id = derive_id(InventoryRestocked.type, sku(number))
        yield _record(
            InventoryRestocked(
                event_id=event_id,
                occurred_at=datetime.now(UTC),
                correlation_id=event_id,
                causation_id=event_id,
                sku=sku(number),
                quantity=quantity,
            )
        )


def settled(topic: str, numbers: Iterable[int]) -> Iterator[Record]:
    """Yield rows of the orders' changelog: the completed orders with these numbers.

    Made from one sample, for a million of them have to be made. Each has its own ids, drawn by chance as
    those of events look: rows that are all alike would be compressed to nothing.
    """
    template, ids = _template()
    for number in numbers:
        key = order_id(number).encode()
        drawn = os.urandom(16 * len(ids)).hex().encode()
        own = {mark: _dashed(drawn[at * 32 : at * 32 + 32]) for at, mark in enumerate(ids)}
        yield Record(topic, key, template % {b"order": key, **own})


def _template() -> tuple[bytes, tuple[bytes, ...]]:
    """Return a completed order as its agent writes it, with a place for each id in it."""
    order = _completed(order_id(int(_SAMPLE, 16)))
    raw = Coder(Order).encode(order).replace(b"%", b"%%")
    raw = raw.replace(order.order_id.encode(), b"%(order)b")
    ids = sorted({each for step in order.history for each in (step.event_id, step.causation_id)})
    marks = tuple(f"id{number}".encode() for number in range(len(ids)))
    for mark, each in zip(marks, ids, strict=True):
        raw = raw.replace(each.encode(), b"%(" + mark + b")b")
    return raw, marks


def _completed(own_id: str) -> Order:
    """Return an order that has gone the whole way."""
    created = _created(own_id, sku(0))
    reserved = InventoryDeducted(
        **_envelope(InventoryDeducted, own_id, 1), order_id=own_id, sku=sku(0), quantity=1
    )
    paid = PaymentCompleted(
        **_envelope(PaymentCompleted, own_id, 2),
        order_id=own_id,
        amount=UNIT_PRICE,
        currency="EUR",
        charge_id=f"ch_{own_id}",
    )
    order = saga.evolve(saga.evolve(saga.evolve(None, created), reserved), paid)
    assert order is not None, "the first event makes it"
    assert order.settled, "the last one ends it"
    return order


def _envelope(kind: type[Message], own_id: str, step: int) -> Envelope:
    return {
        "event_id": derive_id(kind.type, own_id),
        "occurred_at": _START + timedelta(milliseconds=137 * step, microseconds=211),
        "correlation_id": own_id,
        "causation_id": derive_id("CAUSE", own_id, str(step)),
    }


def _created(own_id: str, wanted: str) -> OrderCreated:
    event_id = derive_id(OrderCreated.type, own_id)
    return OrderCreated(
        event_id=event_id,
        occurred_at=_START + timedelta(microseconds=1),
        correlation_id=own_id,
        causation_id=event_id,
        order_id=own_id,
        customer_id="load-customer-4711",
        currency="EUR",
        lines=(OrderLine(sku=wanted, quantity=1, unit_price=UNIT_PRICE),),
        total=UNIT_PRICE,
        payment_token=TOKEN,
    )


def _record(message: Message) -> Record:
    return Record(message.type, message.key.encode(), encode(message))


def _dashed(digits: bytes) -> bytes:
    """Return 32 hexadecimal digits as a UUID is written."""
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
