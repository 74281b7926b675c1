"""The reference pipeline: what every engine decides alike."""

import orjson

from app.delivery.codec import Coder, encode
from bench import pipeline
from bench.engines import messages

AT = "2026-11-22T10:00:00.000001Z"


def test_an_order_has_the_size_of_a_real_one() -> None:
    assert 250 <= len(orjson.dumps(pipeline.order(49_999, AT))) <= 330


def test_the_number_of_an_order_is_in_its_id() -> None:
    assert [pipeline.number_of(pipeline.order_id(number)) for number in (0, 17, 2**40)] == [0, 17, 2**40]


def test_stock_is_deducted_from_the_row_there_is_and_from_a_large_one_where_there_is_none() -> None:
    order = pipeline.order(1, AT)
    first, event = pipeline.deduct(None, order)
    second, _ = pipeline.deduct(first, order)
    assert first["available"] == pipeline.FIRST_STOCK - order["quantity"]
    assert second["deducted"] == 2 * order["quantity"]
    assert event["type"] == pipeline.STOCK_DEDUCTED


def test_an_order_goes_the_whole_way_and_each_event_names_its_cause() -> None:
    order = pipeline.order(1, AT)
    _, deducted = pipeline.deduct(None, order)
    paid = pipeline.pay(deducted)
    state, completed = pipeline.complete(paid)
    chain = (order, deducted, paid, completed)
    assert [event["type"] for event in chain] == list(pipeline.TOPICS)
    assert [event["causation_id"] for event in chain[1:]] == [event["event_id"] for event in chain[:-1]]
    assert len({event["event_id"] for event in chain}) == len(chain)
    assert state["status"] == "COMPLETED"


def test_a_repeat_of_an_event_has_its_id() -> None:
    order = pipeline.order(1, AT)
    assert pipeline.deduct(None, order)[1] == pipeline.deduct(None, order)[1]


def test_the_messages_of_the_projects_own_delivery_are_those_of_the_pipeline() -> None:
    assert tuple(messages.MESSAGES) == pipeline.TOPICS
    order = pipeline.order(7, AT)
    for name, event in {
        pipeline.ORDERS_IN: order,
        pipeline.STOCK_DEDUCTED: pipeline.deduct(None, order)[1],
    }.items():
        kind = messages.MESSAGES[name]
        assert kind.type == name
        assert orjson.loads(encode(Coder(kind).decode(orjson.dumps(event)))) == event
