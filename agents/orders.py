"""Orders: each order's one writer, which runs its saga."""

from functools import partial

from app import metrics
from app.delivery.batches import Batches
from app.main import delivery
from models import saga
from models.order import SETTLED, Order
from tables.orders import load_order, save_order

_settled_seconds = {status: metrics.SETTLED_SECONDS.labels(status) for status in SETTLED}


def _note_end(order: Order) -> None:
    _settled_seconds[order.status].observe((order.updated_at - order.created_at).total_seconds())


@delivery.stage(*saga.AWAITED_IN)
async def orders(batches: Batches) -> None:
    """Fold what happened into each order, and send what it calls for; overdue ones too."""
    async for batch in batches:
        async for partition, event in batch:
            before = load_order(batch, partition, event.order_id)
            after = saga.evolve(before, event)
            if after is not None:
                save_order(batch, partition, before, after)
                if after.settled and not (before and before.settled):
                    batch.after_commit(partial(_note_end, after))
            batch.send(*saga.respond(before, after, event))
