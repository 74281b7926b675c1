"""Offsets that no record has: of transactions' ends, of what was taken back, and of what was deleted."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from uuid import UUID

import aiohttp
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.delivery.codec import encode
from models.events import OrderCreated
from tests.e2e.shop import Shop
from tests.e2e.system import System
from tests.e2e.test_poison import Poison, order_created, spread
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.tampering import KAFKA_S, commit, ends, read_to_the_end, without_members
from tests.faults.test_repeated import some_stock, stocked
from tests.faults.trial import Trial

TRANSACTIONS = 60
MOST = 10


def order_in_transactions(bootstrap: str, skus: Sequence[str], random: Random) -> tuple[set[str], set[str]]:
    """Place orders in transactions, of which some are taken back; return which last, and which do not."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": "gaps", "partitioner": "murmur2"}
    )
    producer.init_transactions(KAFKA_S)
    kept: set[str] = set()
    aborted: set[str] = set()
    for _ in range(TRANSACTIONS):
        is_kept = random.random() < 0.5
        producer.begin_transaction()
        for _ in range(random.randint(1, MOST)):
            order = order_created(str(UUID(int=random.getrandbits(128), version=4)), random.choice(skus))
            producer.produce(OrderCreated.type, encode(order), order.key.encode())
            (kept if is_kept else aborted).add(order.order_id)
        if is_kept:
            producer.commit_transaction(KAFKA_S)
        else:
            assert producer.flush(KAFKA_S) == 0
            producer.abort_transaction(KAFKA_S)
    return kept, aborted


def delete_all(bootstrap: str) -> None:
    """Delete every record that was there to be read."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    places = [TopicPartition(*place, end) for place, end in ends(bootstrap).items() if end]
    for deleted in admin.delete_records(places).values():
        deleted.result(KAFKA_S)


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_gaps_in_the_offsets_hold_up_nothing(
    trial: Trial, separate: System, port: int, session: aiohttp.ClientSession
) -> None:
    worker, url = await separate.worker(port)
    shop, kafka = Shop(session, url), separate.bootstrap
    junk = [Poison(*place, b"junk", b"{", "any") for place in await asyncio.to_thread(ends, kafka)]
    await asyncio.to_thread(spread, separate, junk)
    await asyncio.to_thread(read_to_the_end, kafka)
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(without_members, kafka)
    await asyncio.to_thread(delete_all, kafka)
    await asyncio.to_thread(commit, kafka, {(each.topic, each.partition): 0 for each in junk})  # as if unread

    await separate.worker(port)
    stock = some_stock()
    skus, judge = [*stock], Judge(trial, separate, stock)
    await stocked(shop, stock)
    async with Crowd(judge, (shop,), skus, trial.random).shopping():
        kept, aborted = await asyncio.to_thread(order_in_transactions, kafka, skus, trial.random)
        await asyncio.to_thread(separate.workers[port].kill)
    since = time.monotonic()
    trial.hit(await asyncio.to_thread(judge.in_flight))
    healthy, _ = await separate.worker(port)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await asyncio.gather(*map(shop.settled, kept))
    for order_id in aborted:
        assert (await shop.get(f"/orders/{order_id}"))[0] == 404
    await asyncio.to_thread(read_to_the_end, kafka)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0
