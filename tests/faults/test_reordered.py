"""Topics that are read at different speeds: what came first is heard last, and the outcome is the same."""

import asyncio
import time
from functools import partial
from uuid import UUID

import aiohttp
import pytest
from confluent_kafka import TopicPartition

from app.delivery.codec import decode, encode
from app.partitions import partition_of
from models.events import InventoryDeducted, OrderCreated
from models.messages import Message
from models.saga import decide, evolve
from tests.e2e.shop import Shop, until
from tests.e2e.system import System
from tests.e2e.test_poison import Poison, order_created, spread
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.log import records_of
from tests.faults.regrets import Regrets
from tests.faults.tampering import READ, READ_BY, commit, committed, ends, read_to_the_end, without_members
from tests.faults.test_repeated import ORDERS, placed, some_stock, stocked
from tests.faults.trial import Trial

PARTITIONS = 8


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", ["orders", "inventory", "payments", "transfer"])
async def test_topics_of_a_stage_that_are_held_back_while_the_others_are_read_on_change_nothing(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, stage: str
) -> None:
    doomed, url = await patient.worker(port)
    stock, kafka = some_stock(), patient.bootstrap
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    crowd, regrets = Crowd(judge, (shop,), skus, trial.random), Regrets(judge, shop, skus, trial.random)
    wanted = await placed(patient) + ORDERS
    async with crowd.shopping(), regrets.shopping():
        await until(partial(placed, patient), lambda found: found >= wanted)
        await asyncio.to_thread(doomed.kill)
    since = time.monotonic()
    trial.hit(await asyncio.to_thread(judge.in_flight))
    await asyncio.to_thread(without_members, kafka)
    held = trial.random.sample(READ_BY[stage], len(READ_BY[stage]) // 2)
    read, there = await asyncio.to_thread(committed, kafka), await asyncio.to_thread(ends, kafka, held)
    await asyncio.to_thread(commit, kafka, there)

    doomed, _ = await patient.worker(port)
    await asyncio.to_thread(read_to_the_end, kafka, sorted({*READ} - {*held}))
    wanted = await placed(patient) + ORDERS
    async with crowd.shopping(2), regrets.shopping():
        await until(partial(placed, patient), lambda found: found >= wanted)
        await asyncio.to_thread(doomed.kill)
    await asyncio.to_thread(without_members, kafka)
    await asyncio.to_thread(commit, kafka, {place: read.get(place, 0) for place in there})

    healthy, _ = await patient.worker(port)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await asyncio.to_thread(read_to_the_end, kafka)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0


@pytest.mark.full
@pytest.mark.timeout(240)
async def test_orders_that_are_read_after_the_answers_to_them_complete(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession
) -> None:
    worker, url = await patient.worker(port)
    stock, kafka = some_stock(), patient.bootstrap
    shop, judge = Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(without_members, kafka)
    ids = [str(UUID(int=trial.random.getrandbits(128), version=4)) for _ in range(50)]
    orders = [order_created(order_id, trial.random.choice([*stock][:-1])) for order_id in ids]
    read = await asyncio.to_thread(ends, kafka, [OrderCreated.type])
    await asyncio.to_thread(spread, patient, [at_home(order) for order in orders])
    later = await asyncio.to_thread(ends, kafka, [OrderCreated.type])
    requests = await asyncio.to_thread(requests_of, kafka, read)
    await asyncio.to_thread(commit, kafka, later)
    answers = sum((await asyncio.to_thread(ends, kafka, [InventoryDeducted.type])).values())
    await asyncio.to_thread(spread, patient, requests)

    worker, _ = await patient.worker(port)
    trial.hit(await asyncio.to_thread(judge.in_flight))
    await asyncio.to_thread(read_to_the_end, kafka)
    heard = sum((await asyncio.to_thread(ends, kafka, [InventoryDeducted.type])).values())
    assert heard - answers == len(orders), "void: they were not answered"
    assert {(await shop.get(f"/orders/{order_id}"))[0] for order_id in ids} == {404}
    assert await asyncio.to_thread(worker.stop) == 0
    await asyncio.to_thread(without_members, kafka)
    await asyncio.to_thread(commit, kafka, read)

    healthy, _ = await patient.worker(port)
    settled = await asyncio.gather(*map(shop.settled, ids))
    assert {one["status"] for one in settled} == {"COMPLETED"}
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(healthy.stop) == 0


def at_home(message: Message) -> Poison:
    """Return the record that the message is, which is no poison at all."""
    key = message.key.encode()
    return Poison(message.type, partition_of(key, PARTITIONS), key, encode(message), "none")


def requests_of(bootstrap: str, since: dict[tuple[str, int], int]) -> list[Poison]:
    """Return what the saga will ask of the stock keepers for the orders from there on, in its own words."""
    places = [TopicPartition(*place, offset) for place, offset in since.items()]
    found: list[Poison] = []
    for record in records_of(bootstrap, places):
        created = decode(OrderCreated.type, record.key(), record.value(), record.timestamp()[1])
        assert isinstance(created, OrderCreated)
        order = evolve(None, created)
        assert order is not None
        found += map(at_home, decide(order))
    return found
