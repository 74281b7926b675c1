"""What the scenarios of the whole saga put into Kafka is what a worker would have taken or written."""

from app.delivery.codec import Coder, decode
from bench import orders
from models.events import InventoryRestocked, OrderCreated
from models.order import Order, OrderStatus

NOW_MS = 1_700_000_000_000


def test_orders_are_valid_messages_under_their_own_keys() -> None:
    records = list(orders.placed(range(3)))
    read = [decode(*record, NOW_MS) for record in records]
    assert all(isinstance(event, OrderCreated) for event in read)
    assert [event.key for event in read] == [orders.order_id(number) for number in range(3)]


def test_every_sku_that_is_wanted_is_stocked() -> None:
    stocked = {record.key for record in orders.restocked(range(orders.SKUS))}
    assert {orders.sku(number).encode() for number in range(5_000)} == stocked
    first = next(orders.restocked(range(1), 7))
    event = decode(*first, NOW_MS)
    assert isinstance(event, InventoryRestocked)
    assert event.quantity == 7


def test_rows_are_completed_orders_with_ids_of_their_own() -> None:
    rows = list(orders.settled("orders-changelog", range(10, 12)))
    read = [Coder(Order).decode(row.value) for row in rows]
    for row, order, number in zip(rows, read, (10, 11), strict=True):
        assert row.topic == "orders-changelog"
        assert order.order_id == order.correlation_id == orders.order_id(number) == row.key.decode()
        assert order.status is OrderStatus.COMPLETED
    ids = [{step.event_id for step in order.history} for order in read]
    assert all(len(each) == len(read[0].history) for each in ids)
    assert not ids[0] & ids[1]
    assert {order.entered_by for order in read} <= ids[0] | ids[1]


def test_rows_are_of_the_size_that_agents_write() -> None:
    row = next(orders.settled("orders-changelog", range(1)))
    assert 1_000 < len(row.value) < 2_000


def test_a_worker_reads_what_is_placed_and_restocked() -> None:
    assert {OrderCreated.type, InventoryRestocked.type} <= set(orders.INPUTS)
    assert len(set(orders.INPUTS)) == len(orders.INPUTS)
