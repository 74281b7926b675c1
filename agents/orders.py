"""Orders: each order's one writer, which runs its saga."""

from app.delivery.batches import Batches
from app.main import delivery
from models import saga
from tables.orders import load_order, save_order


@delivery.stage(*saga.AWAITED_IN)
async def orders(batches: Batches) -> None:
    """Fold what happened into each order, and send what it calls for; overdue ones too."""
    async for batch in batches:
        for partition, event in batch:
            before = load_order(batch, partition, event.order_id)
            after = saga.evolve(before, event)
            if after is not None:
                save_order(batch, partition, before, after)
            batch.send(*saga.respond(before, after, event))
