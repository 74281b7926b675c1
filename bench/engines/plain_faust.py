"""The pipeline as plain Faust has it: an agent a stage, a table a state, one event at a time."""

import logging
from typing import Any

import faust

from bench import pipeline
from bench.engines import FAUST, command

SETTLED_S = 3.0
"""What Faust fetches while it still takes up its partitions, it may drop: nothing is sent until then."""


def build(options: command.Options) -> Any:
    """Return the app with its agents and tables: at least once, changelogs on, all else as it comes."""
    app = faust.App(
        FAUST.group,
        broker=f"aiokafka://{options.broker}",
        store="rocksdb://",
        datadir=options.state_dir,
        processing_guarantee="at_least_once",
        topic_partitions=pipeline.PARTITIONS,
        topic_replication_factor=1,
        topic_allow_declare=False,  # where it makes its changelogs itself, it at times fails for want of them
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        producer_compression_type="lz4",
        web_enabled=False,
        logging_config=None,
    )
    orders_in, stock_deducted, payment_completed, order_completed = (
        app.topic(name, key_type=str, key_serializer="raw", value_serializer="json")
        for name in pipeline.TOPICS
    )
    stock = app.Table("stock", partitions=pipeline.PARTITIONS, key_type=str)
    orders = app.Table("orders", partitions=pipeline.PARTITIONS, key_type=str)

    @app.agent(orders_in)  # type: ignore[untyped-decorator]  # Faust is untyped here
    async def deduct(stream: Any) -> None:
        async for event in stream:
            stock[event["sku"]], out = pipeline.deduct(stock.get(event["sku"]), event)
            await stock_deducted.send(key=event["order_id"], value=out)

    @app.agent(stock_deducted)  # type: ignore[untyped-decorator]
    async def pay(stream: Any) -> None:
        async for event in stream:
            await payment_completed.send(key=event["order_id"], value=pipeline.pay(event))

    @app.agent(payment_completed)  # type: ignore[untyped-decorator]
    async def complete(stream: Any) -> None:
        async for event in stream:
            orders[event["order_id"]], out = pipeline.complete(event)
            await order_completed.send(key=event["order_id"], value=out)

    async def ready(*_: object, **__: object) -> None:
        app.loop.call_later(SETTLED_S, command.say_ready)

    app.on_rebalance_complete.connect(ready, weak=False)
    return app


def main() -> None:
    """Run the worker until SIGTERM."""
    options = command.options("The reference pipeline on plain Faust.")
    command.say_versions("faust-streaming", "aiokafka", "rocksdict")
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # its debug records are made even unheard
    app = build(options)
    worker = faust.Worker(app, loglevel="WARNING", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
