"""An operator's view of the dead letters, for tests: the command line, and poison to use it on."""

import asyncio
import json
import sys
from typing import Any, NamedTuple

from confluent_kafka import Producer

from app.delivery.codec import encode
from app.letters.reading import Reader, open_letters
from app.partitions import partition_of
from app.settings import load
from tests.e2e.shop import until
from tests.e2e.system import System
from tests.e2e.test_poison import KAFKA_S, Poison, ends, order_created, spread

DEADLINE_S = 100
PARTITIONS = 8


class Ended(NamedTuple):
    """Be what a command came to."""

    code: int | None
    out: str
    err: str


async def operate(system: System, *arguments: str, **environment: str) -> Ended:
    """Run `dead-letters` with these arguments to its end."""
    return await end(await begin(system, *arguments, **environment))


async def begin(system: System, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start `dead-letters` with these arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "dead-letters", *arguments),
        env={**system.environment, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Return what a command came to, once it has ended."""
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def listed(system: System, *arguments: str) -> list[dict[str, Any]]:
    """Return the letters that are listed under these filters."""
    ended = await operate(system, "list", "--json", *arguments)
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


async def bury(system: System, *poison: Poison) -> list[dict[str, Any]]:
    """Put poison on the topics, of one key that no letter has yet; return its letters once they are there."""
    key = poison[0].key or b""
    await asyncio.to_thread(spread, system, list(poison))

    async def count() -> int:
        return await asyncio.to_thread(count_of, system, key)

    await until(count, lambda found: found == len(poison))
    return await listed(system, "--key", key.decode())


def count_of(system: System, key: bytes) -> int:
    """Return how many letters of a key there are, without a process of its own to find out."""
    with Reader(load().model_copy(update={"broker": system.bootstrap})) as reader:
        return sum(letter.key == key for letter in open_letters(reader))


def half_an_order(order_id: str, sku: str = "sku-1") -> Poison:
    """Return an accepted order of which only the first half can be found on its topic."""
    raw = whole_order(order_id, sku)
    key = order_id.encode()
    return Poison("ORDER_CREATED", partition_of(key, PARTITIONS), key, raw[: len(raw) // 2], "Undecodable")


def whole_order(order_id: str, sku: str = "sku-1") -> bytes:
    """Return the order as it should have been."""
    return encode(order_created(order_id, sku))


async def sizes(system: System, *topics: str) -> dict[str, int]:
    """Return how many records there are in topics."""
    places = {topic: await asyncio.to_thread(ends, system, topic) for topic in topics}
    return {topic: sum(place.offset for place in found) for topic, found in places.items()}


async def forge(system: System, key: str, topic: str) -> str:
    """Put a letter of a record that never was, and return its id."""
    headers: dict[str, str | bytes | None] = {
        "error": "forged",
        "source_topic": topic,
        "source_partition": "0",
        "source_offset": "0",
    }
    producer = Producer({"bootstrap.servers": system.bootstrap})
    producer.produce("DEAD_LETTERS", b"{}", key.encode(), partition=0, headers=headers)
    assert await asyncio.to_thread(producer.flush, KAFKA_S) == 0
    (letter,) = await listed(system, "--key", key)
    return str(letter["id"])
