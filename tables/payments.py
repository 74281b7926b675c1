"""Payments by order id: written by the payments agent alone.

A provider's answer is no record of a topic: it does not come again after a crash. So each batch writes,
ahead of its payments, which of them have something to say; the next batch is begun only once all of it
is said, and overwrites the list. Whoever recovers the partition reminds the payments on the list.

Which payments still call for the provider is kept under keys of their own, so that a recovery need not look
at every payment there ever was.
"""

from collections.abc import Iterator

from msgspec.json import Decoder, encode

from app import metrics
from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.main import delivery
from models.payment import Payment

state = delivery.table("payments", stage="payments")
coder = Coder(Payment)

PAYMENT = b"payment/"
OPEN = b"open/"
UNTOLD = b"untold"

_order_ids = Decoder(list[str])


def load_payment(batch: Batch, partition: int, order_id: str) -> Payment | None:
    """Return the payment as it stands within the batch, None where there is none."""
    return batch.load(state, partition, PAYMENT + order_id.encode(), coder)


def save_payment(batch: Batch, partition: int, payment: Payment) -> None:
    """Write the payment with the batch, and remember that it is open, or that it may have something to say.

    It is no longer found open only behind the row that says what became of it: a crash that kept the one
    and not the other would leave an intent that nobody takes up.
    """
    name = payment.order_id.encode()
    batch.save(state, partition, PAYMENT + name, payment, coder, place=Place.LAST)
    batch.write(state, partition, OPEN + name, b"1" if payment.open else None, place=Place.LAST)
    if not payment.open:
        untold = _append(batch.written(state, partition, UNTOLD), payment.order_id)
        batch.write(state, partition, UNTOLD, untold, place=Place.FIRST)


def find_open() -> Iterator[tuple[int, Payment]]:
    """Yield the payments of this worker's partitions that still call for the provider."""
    for partition in sorted(state.partitions()):
        for key, _ in state.scan(partition, OPEN):
            payment = state.load(partition, PAYMENT + key.removeprefix(OPEN), coder)
            if payment is not None and payment.open:
                yield partition, payment


def count_delayed_refunds() -> int:
    """Return how many refunds of this worker's partitions were asked for in vain, and are asked for again."""
    return sum(payment.refund_delayed for _, payment in find_open())


metrics.REFUNDS_DELAYED.set_function(count_delayed_refunds)


def find_untold() -> Iterator[tuple[int, str]]:
    """Yield the order ids of this worker's partitions whose payments may not have said what they have to."""
    for partition in sorted(state.partitions()):
        for order_id in _order_ids.decode(state.get(partition, UNTOLD) or b"[]"):
            yield partition, order_id


def _append(order_ids: bytes | None, order_id: str) -> bytes:
    """Put one more into the JSON of a list, unread: a batch has a thousand, and would read it as often."""
    return (b"[" if order_ids is None else order_ids[:-1] + b",") + encode(order_id) + b"]"
