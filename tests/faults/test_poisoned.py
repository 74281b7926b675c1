"""Records that nobody can work on, amid those of orders: kept for the operator, and nobody is held up."""

import asyncio
import itertools
import json
import time
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import aiohttp
import pytest

from app.delivery.codec import Coder, encode
from app.partitions import partition_of
from app.topics import DEAD_LETTERS
from models.catalogue import MESSAGES
from models.events import OrderCreated
from tests.e2e.shop import Shop, new_sku, until
from tests.e2e.system import System
from tests.e2e.test_poison import Poison, letters, order_created, source_of, spread
from tests.e2e.test_poison import ends as dead
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.regrets import Regrets
from tests.faults.tampering import READ, copied, ends, read_to_the_end
from tests.faults.test_repeated import STOCK, missing, some_stock, stocked
from tests.faults.trial import Trial

PARTITIONS = 8
WIRE = Path(__file__).parent.parent / "app" / "wire"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BAD = 600
GOOD = 100
STALL_S = 20
LARGEST = 1_048_000
"""Bytes: with its frame, as much as a topic takes."""


def kinds_of_poison(topic: str, random: Random) -> list[Poison]:
    """Return all that can be wrong with a record of this topic."""
    good = (WIRE / f"{topic}.v1.json").read_bytes().strip()
    fields = json.loads(good)
    key = Coder(MESSAGES[topic]).decode(good).key.encode()
    values: list[tuple[bytes | None, bytes | None, str]] = [
        (key, good[: len(good) // 2], "Undecodable: Input data was truncated"),
        (key, b"\x00\xff", "Undecodable: JSON is malformed"),
        (key, b"", "Undecodable: Input data was truncated"),
        (key, b"\x00" + random.randbytes(LARGEST - 1), "Undecodable: JSON is malformed"),
        (key, b"[" * 100_000, "Undecodable: "),
        (key, None, "Undecodable: the record has no value"),
        (key, json.dumps({**fields, "type": "SOMETHING_ELSE"}).encode(), "Undecodable: Invalid value "),
        (key, json.dumps({**fields, "version": 2}).encode(), "Undecodable: Invalid enum value 2"),
        (key, json.dumps({**fields, "event_id": 7}).encode(), "Undecodable: Expected `str`, got `int`"),
        (key, b'{"type": "%s"}' % topic.encode(), "Undecodable: Object missing required field"),
        (None, good, "Undecodable: the record's key None is not its message's"),
        (b"another", good, "Undecodable: the record's key b'another' is not its message's"),
    ]
    return [Poison(topic, random.randrange(PARTITIONS), *value) for value in values]


@pytest.mark.full
async def test_poison_of_every_kind_on_every_topic_becomes_letters_amid_orders(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession
) -> None:
    worker, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    before = await asyncio.to_thread(dead, patient, DEAD_LETTERS)
    poison = [each for topic in READ for each in kinds_of_poison(topic, trial.random)]
    trial.random.shuffle(poison)
    places: dict[tuple[str, int, int], Poison] = {}
    async with Crowd(judge, (shop,), skus, trial.random).shopping():
        for number, codec in enumerate(CODECS):  # workers themselves write lz4
            settings = {"compression.type": codec, "message.max.bytes": 2 * LARGEST}
            some = poison[number :: len(CODECS)]
            places |= await asyncio.to_thread(spread, patient, some, settings)
        trial.hit(await asyncio.to_thread(judge.in_flight))
    since = time.monotonic()
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await asyncio.to_thread(read_to_the_end, patient.bootstrap)
    now = await asyncio.to_thread(dead, patient, DEAD_LETTERS)
    found = {source_of(letter): letter for letter in await asyncio.to_thread(letters, patient, before, now)}
    assert found.keys() == places.keys()
    for place, each in places.items():
        letter = found[place]
        assert (letter.key, letter.value, letter.partition) == (each.key, each.value, each.partition)
        assert letter.headers["error"].startswith(each.error), letter.headers
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(worker.stop) == 0


async def test_600_times_poison_in_a_row_do_not_hold_up_the_orders_behind_it(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession
) -> None:
    worker, url = await patient.worker(port)
    shop, sku = Shop(session, url), new_sku()
    judge = Judge(trial, patient, {sku: STOCK})
    await shop.restock(sku, STOCK)
    before = await asyncio.to_thread(dead, patient, DEAD_LETTERS)
    partition = trial.random.randrange(PARTITIONS)
    good = [order_created(order_id, sku) for order_id in ids_of(partition, GOOD, trial.random)]
    behind = [
        Poison(order.type, partition, order.key.encode(), encode(order), "no poison at all") for order in good
    ]
    bad = [Poison(OrderCreated.type, partition, b"%d" % number, b"{", "bad") for number in range(BAD)]
    await asyncio.to_thread(spread, patient, [*bad, *behind])
    since, at_ms = time.monotonic(), time.time() * 1000
    trial.hit(await asyncio.to_thread(judge.in_flight, at_ms))
    settled = await asyncio.gather(*(shop.settled(order.order_id) for order in good))
    trial.recovered(since)
    assert {one["status"] for one in settled} == {"COMPLETED"}
    assert time.monotonic() - since < STALL_S, "each letter has held up what is behind it"
    now = await asyncio.to_thread(dead, patient, DEAD_LETTERS)
    assert now[partition].offset - before[partition].offset == BAD
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(worker.stop) == 0


def ids_of(partition: int, count: int, random: Random) -> list[str]:
    """Return so many order ids that are at home in the partition."""
    ids = (str(UUID(int=random.getrandbits(128), version=4)) for _ in itertools.count())
    return list(
        itertools.islice((one for one in ids if partition_of(one.encode(), PARTITIONS) == partition), count)
    )


@pytest.mark.full
async def test_records_in_a_partition_that_is_not_their_keys_are_buried_and_harm_nothing(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession
) -> None:
    def another(partition: int) -> int:
        return (partition + trial.random.randrange(1, PARTITIONS)) % PARTITIONS

    worker, url = await patient.worker(port)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    before = await asyncio.to_thread(ends, patient.bootstrap, [DEAD_LETTERS])
    with copied(patient.bootstrap, another) as copies:
        await stocked(shop, stock)
        async with (
            Crowd(judge, (shop,), skus, trial.random).shopping(2),
            Regrets(judge, shop, skus, trial.random).shopping(),
        ):
            await until(partial(missing, copies), lambda topics: not topics)  # else void
            trial.hit(await asyncio.to_thread(judge.in_flight))
        await sold_again(judge, (shop,), skus[:-1])
    await asyncio.to_thread(read_to_the_end, patient.bootstrap)
    now = await asyncio.to_thread(ends, patient.bootstrap, [DEAD_LETTERS])
    await judge.all_is_well(shop)
    assert sum(now.values()) - sum(before.values()) == copies.total()
    assert await asyncio.to_thread(worker.stop) == 0
