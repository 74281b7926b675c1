"""Inventory: each SKU's one writer, which keeps its stock."""

from app.delivery.batches import Batches
from app.main import delivery
from models import commands, events
from models.stock import keep
from tables.inventory import load_stock, save_stock


@delivery.stage(
    commands.RequestInventory,
    commands.RequestInventoryRelease,
    commands.RequestInventorySale,
    commands.RequestInventoryReturn,
    events.InventoryRestocked,
)
async def inventory(batches: Batches) -> None:
    """Reserve, release, sell, take back and restock, and answer each order."""
    async for batch in batches:
        async for partition, message in batch:
            before = load_stock(batch, partition, message)
            after, answers = keep(before, message)
            save_stock(batch, partition, before, after)
            batch.send(*answers)
