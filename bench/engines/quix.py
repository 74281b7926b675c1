"""The pipeline on Quix Streams: three dataframes of one application, in one process and one thread."""

from quixstreams import Application, State

from bench import pipeline
from bench.engines import QUIX, command


def build(options: command.Options) -> Application:
    """Return the application: at least once and changelogs on, which is its default; all else as it comes."""
    app = Application(
        broker_address=options.broker,
        consumer_group=QUIX.group,
        auto_offset_reset="earliest",
        state_dir=options.state_dir,
        producer_extra_config={"enable.idempotence": True, "acks": "all", "compression.type": "lz4"},
        loglevel="WARNING",
    )
    orders_in, stock_deducted, payment_completed, order_completed = (
        app.topic(name, key_serializer="str", key_deserializer="str") for name in pipeline.TOPICS
    )
    stock = app.dataframe(orders_in)
    stock.apply(_deduct, stateful=True).to_topic(stock_deducted, key=_order_id)
    payment = app.dataframe(stock_deducted)
    payment.apply(pipeline.pay).to_topic(payment_completed, key=_order_id)
    order = app.dataframe(payment_completed)
    order.apply(_complete, stateful=True).to_topic(order_completed, key=_order_id)
    return app


def _deduct(event: pipeline.Event, state: State) -> pipeline.Event:
    row, out = pipeline.deduct(state.get("row"), event)  # state is kept by the record's key: the SKU
    state.set("row", row)
    return out


def _complete(event: pipeline.Event, state: State) -> pipeline.Event:
    row, out = pipeline.complete(event)
    state.set("row", row)
    return out


def _order_id(event: pipeline.Event) -> str:
    return str(event["order_id"])


if __name__ == "__main__":
    given = command.options("The reference pipeline on Quix Streams.")
    command.say_versions("quixstreams", "confluent-kafka", "rocksdict")
    application = build(given)
    command.say_ready()  # it joins its group within run(): the warm-up waits for that
    application.run()
