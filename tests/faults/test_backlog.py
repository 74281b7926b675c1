"""A backlog far beyond what is in flight otherwise, drained by one worker, which is killed meanwhile."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from app.delivery.codec import encode
from app.settings import load
from bench import accounting
from bench.kafka import Kafka
from bench.orders import order_id
from models.events import OrderCancelled, OrderCompleted, OrderCreated, OrderLine
from models.messages import derive_id
from tests.e2e.shop import until
from tests.faults.market import GOODS, PLENTY, Market
from tests.faults.receiver import SILENT

BACKLOG = 200_000
SHORT = 1_250
"""Of each of the goods that the backlog wants: a tenth of it gets any, as the provider takes its time."""

ENDS = (OrderCompleted.type, OrderCancelled.type)
MOST_MIB = 384
"""A worker of its size, a cache of 32 MiB, buffers of 4 MiB for each partition, and names of what waits."""

FLUSH_S = 60
POLL_S = 0.1
DRAINED_S = 1_200
LONGEST_S = 20.0
PATIENCE_MS = "3600000"
PATIENT = {"ORDERS_SAGA__PENDING_MS": PATIENCE_MS, "ORDERS_SAGA__PAYING_MS": PATIENCE_MS}


@pytest.mark.full
@pytest.mark.timeout(3_600)
async def test_a_backlog_of_two_hundred_thousand_orders_is_drained_in_flat_memory_though_the_worker_is_killed(
    fair: Market,
) -> None:
    fair.settings = PATIENT
    fair.system.settings |= SILENT
    await fair.open(workers=1, goods=(PLENTY, SHORT) * GOODS)
    port = fair.ports[0]
    await fair.stop(port)
    await asyncio.to_thread(
        produce, fair.system.bootstrap, placed([sku for sku in fair.skus if sku not in fair.plenty])
    )
    await fair.start(port)
    fair.skus = fair.plenty
    async with fair.shopping():
        await asyncio.sleep(fair.random.uniform(LONGEST_S / 2, LONGEST_S))
        before_mib = accounting.peak_rss_mib(fair.worker(port).pid)
        fault = fair.kill(port)
        await fair.start(port)
        kafka = Kafka(fair.system.bootstrap, load().partitions)

        async def ended() -> int:
            assert fair.running == [port]
            return await asyncio.to_thread(kafka.count, ENDS)

        await until(ended, lambda count: count >= BACKLOG, DRAINED_S)
        await fair.recovered(fault)
    after_mib = accounting.peak_rss_mib(fair.worker(port).pid)
    fair.trial.memory = f"{before_mib:.0f}, {after_mib:.0f} MiB"
    assert max(before_mib, after_mib) <= MOST_MIB
    await fair.close()


def placed(skus: Sequence[str]) -> Iterator[OrderCreated]:
    """Yield the orders as HTTP would have accepted them."""
    for number in range(BACKLOG):
        own_id = order_id(number)
        event_id = derive_id(OrderCreated.type, own_id)
        yield OrderCreated(
            event_id=event_id,
            occurred_at=datetime.now(UTC),
            correlation_id=own_id,
            causation_id=event_id,
            order_id=own_id,
            customer_id="customer-1",
            currency="EUR",
            lines=(OrderLine(sku=skus[number % len(skus)], quantity=1, unit_price=1_000),),
            total=1_000,
            payment_token="tok_ok",
        )


def produce(bootstrap: str, orders: Iterator[OrderCreated]) -> None:
    """Write the orders into their topic, as the workers would."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True}
    )
    for placed_order in orders:
        record = (OrderCreated.type, encode(placed_order), placed_order.key.encode())
        while True:
            try:
                producer.produce(*record)
                break
            except BufferError:  # it holds as much as it may: let it send
                producer.poll(POLL_S)
        producer.poll(0)
    assert not producer.flush(FLUSH_S)
