"""Orders by order id: written by the orders agent alone."""

from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.main import delivery
from models.order import Order

state = delivery.table("orders")
coder = Coder(Order)


def load_order(batch: Batch, partition: int, order_id: str) -> Order | None:
    """Return the order as it stands within the batch, None where there is none."""
    return batch.load(state, partition, order_id.encode(), coder)


def save_order(batch: Batch, partition: int, order: Order) -> None:
    """Write the order with the batch."""
    batch.save(state, partition, order.order_id.encode(), order, coder, place=Place.LAST)
