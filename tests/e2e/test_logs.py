"""A worker's log after orders of every kind: which orders, and nothing about whose they are."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from app.delivery.codec import encode
from models.events import OrderCreated, OrderLine
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System

KAFKA_S = 30
TOKENS = ("tok_ok", "tok_declined", "tok_flaky", "tok_timeout")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def misplaced(customer: str, token: str) -> OrderCreated:
    """Return the news of an order that is to be put under another key than its own."""
    return OrderCreated(
        event_id="misplaced",
        occurred_at=AT,
        correlation_id="misplaced",
        causation_id="misplaced",
        order_id="misplaced",
        customer_id=customer,
        currency="EUR",
        lines=(OrderLine(sku="sku", quantity=1, unit_price=1),),
        total=1,
        payment_token=token,
    )


@pytest.fixture
def customer() -> str:
    """Give a customer of whom nobody has heard."""
    return f"customer-{uuid4().hex}"


def log_of(system: System) -> str:
    """Return all that the workers have written so far."""
    return "".join(worker.log.read_text("utf-8") for worker in system.workers.values())


async def test_a_log_names_orders_and_neither_their_customers_nor_their_tokens(
    shop: Shop, system: System, customer: str
) -> None:
    sku = new_sku()
    await shop.restock(sku, len(TOKENS))
    placed = [await shop.place(order(item(sku), token=token, customer=customer)) for token in TOKENS]
    for order_id in placed:
        await shop.settled(order_id)
    bad = order(item(sku, 0), token="tok_bad_body", customer=customer)
    assert (await shop.post("/orders", bad))[0] == 422
    producer = Producer({"bootstrap.servers": system.bootstrap})
    producer.produce("ORDER_CREATED", encode(misplaced(customer, "tok_misplaced")), b"other")
    producer.produce("ORDER_CREATED", encode(misplaced(customer, "tok_cut"))[:-1], b"misplaced")
    producer.flush(KAFKA_S)

    async def log() -> str:
        return await asyncio.to_thread(log_of, system)

    said = await until(log, lambda text: text.count("undecodable: ORDER_CREATED") >= 2)
    assert customer not in said
    assert "tok_" not in said
