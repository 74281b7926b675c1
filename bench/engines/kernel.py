"""The pipeline on the project's own delivery (app.delivery): a stage each, a batch at a time."""

import os
import socket
import sys
from pathlib import Path

import faust

from app import logs, runtime
from app.delivery.batch import Batch, Place
from app.delivery.batches import Batches
from app.delivery.codec import Coder, MessageDecoder
from app.delivery.stages import Delivery
from app.delivery.state import State
from app.settings import PREFIX, current
from bench import pipeline
from bench.engines import command
from bench.engines.messages import (
    MESSAGES,
    FollowsOrder,
    OrderCompleted,
    OrderPlaced,
    OrderRow,
    PaymentCompleted,
    StockDeducted,
    StockRow,
)
from models.messages import Envelope

STOCK_ROWS = Coder(StockRow)
ORDER_ROWS = Coder(OrderRow)


def declare(delivery: Delivery) -> None:
    """Declare the two tables and the three stages."""
    stock_table, orders_table = delivery.table("stock"), delivery.table("orders")

    @delivery.stage(OrderPlaced)
    async def stock(batches: Batches) -> None:
        async for batch in batches:
            async for partition, order in batch:
                _deduct(batch, stock_table, partition, order)

    @delivery.stage(StockDeducted)
    async def payment(batches: Batches) -> None:
        async for batch in batches:
            async for _, deducted in batch:
                batch.send(_follow(deducted, PaymentCompleted))

    @delivery.stage(PaymentCompleted)
    async def order(batches: Batches) -> None:
        async for batch in batches:
            async for partition, paid in batch:
                _complete(batch, orders_table, partition, paid)


def _deduct(batch: Batch, table: State, partition: int, order: OrderPlaced) -> None:
    key = order.sku.encode()
    row = batch.load(table, partition, key, STOCK_ROWS) or StockRow(**pipeline.first_row(order.sku))
    after = StockRow(
        sku=row.sku, available=row.available - order.quantity, deducted=row.deducted + order.quantity
    )
    batch.save(table, partition, key, after, STOCK_ROWS, place=Place.LAST)
    batch.send(_follow(order, StockDeducted))


def _complete(batch: Batch, table: State, partition: int, paid: PaymentCompleted) -> None:
    row = OrderRow(
        order_id=paid.order_id,
        status="COMPLETED",
        sku=paid.sku,
        quantity=paid.quantity,
        amount=paid.amount,
        placed_at=paid.occurred_at,
        payment=paid.event_id,
    )
    batch.save(table, partition, paid.order_id.encode(), row, ORDER_ROWS, place=Place.LAST)
    batch.send(_follow(paid, OrderCompleted))


def _follow(cause: OrderPlaced | FollowsOrder, kind: type[FollowsOrder]) -> FollowsOrder:
    envelope: Envelope = {
        "event_id": pipeline.event_id(cause.order_id, kind.type),
        "occurred_at": cause.occurred_at,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.event_id,
    }
    return kind(
        **envelope, order_id=cause.order_id, sku=cause.sku, quantity=cause.quantity, amount=cause.amount
    )


def _configure(options: command.Options) -> None:
    """Set the few settings that are not the operator's defaults; `app.main` reads them when imported."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mine = {
        "BROKER": options.broker,
        "PARTITIONS": pipeline.PARTITIONS,
        "DATA_DIR": options.state_dir,
        "WEB__PORT": port,
    }
    os.environ.update({f"{PREFIX}{name}": str(value) for name, value in mine.items()})
    os.environ["ORDERS_CONFIG"] = str(Path(__file__).parents[2] / "faust.yml")


def main() -> None:
    """Run the worker until SIGTERM."""
    options = command.options("The reference pipeline on the project's own delivery.")
    command.say_versions("faust-streaming", "confluent-kafka", "rocksdict")
    _configure(options)
    runtime.choose_loop()
    from app.main import create  # noqa: PLC0415  # it reads the settings set above as it is imported

    settings = current()
    logs.set_up(settings)
    settings.worker_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app = create(settings, MessageDecoder(MESSAGES))
    declare(app.delivery)
    runtime.settle()

    async def ready(*_: object, **__: object) -> None:
        command.say_ready()

    app.on_rebalance_complete.connect(ready, weak=False)
    worker = faust.Worker(app, loglevel="INFO", quiet=True, override_logging=False, redirect_stdouts=False)
    sys.exit(worker.execute_from_commandline())


if __name__ == "__main__":
    main()
