"""States made anew from the topics of a real Kafka are those that the workers have."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from confluent_kafka import Producer

from app import broker
from app.offsets import Offsets
from app.rebuild.reading import Span, read
from app.settings import load
from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import HOST, System, free_port, started
from tests.e2e.test_cancel import paying

DEADLINE_S = 60
LOOKS = 10


async def rebuild(system: System, folder: Path, *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Run one rebuild, and return its exit code, what it found and its output."""
    file = folder / "rebuild.json"
    file.unlink(missing_ok=True)  # a small file
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "rebuild", "--json", str(file), "--scratch", str(folder), "--jobs", "1", *arguments),
        env={"ORDERS_BROKER": system.bootstrap, "COLUMNS": "200", **system.settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    found = json.loads(file.read_bytes()) if file.exists() else {}  # likewise
    assert [path.name for path in folder.glob("order-saga-*")] == [], out.decode()  # noqa: ASYNC240
    return process.returncode, found, out.decode()


async def quiet(system: System, folder: Path, *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Rebuild until nothing is in flight: offsets are committed some time after the work."""
    for _ in range(LOOKS):
        code, found, out = await rebuild(system, folder, *arguments)
        if code or not found["left_out"]:
            break
    return code, found, out


async def all_kinds(shop: Shop) -> list[str]:
    """Have an order end in every way there is, and return their ids."""
    plenty, scarce = new_sku("plenty"), new_sku("scarce")
    await shop.restock(plenty, 50)
    await shop.restock(scarce, 1)
    bodies = [
        *(order(item(plenty, quantity=2), token=token) for token in ("tok_ok", "tok_declined", "tok_flaky")),
        *(order(item(plenty), item(scarce)) for _ in range(4)),
        order(item(new_sku("unknown"))),
    ]
    bought = await asyncio.gather(*(shop.buy(body) for body in bodies))
    sold = [one["order_id"] for one in bought if one["status"] == "COMPLETED"]
    assert (await shop.refund(sold[0]))[0] == 202
    unpaid = await asyncio.gather(*(paying(shop, plenty) for _ in range(2)))
    early = [await shop.place(order(item(plenty))) for _ in range(3)]
    await asyncio.gather(*map(shop.cancel, (*unpaid, *early)))
    ids = [*(one["order_id"] for one in bought), *unpaid, *early]
    ended = await asyncio.gather(*map(shop.settled, ids))
    assert {one["status"] for one in ended} == {"COMPLETED", "CANCELLED", "REFUNDED"}
    return ids


async def test_every_kind_of_order_is_made_anew_as_it_is(shop: Shop, system: System, tmp_path: Path) -> None:
    ids = await all_kinds(shop)
    code, found, out = await quiet(system, tmp_path, "--jobs", "3")
    assert (code, found["differences"], found["left_out"]) == (0, [], {}), out
    assert sum(found["orders"].values()) >= len(ids)
    assert "the live tables are the same" in out


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[System]:
    """Give a system of the test's own in which orders are soon timed out."""
    with (
        broker.start(tmp_path / "kafka", options=broker.QUICK) as own,
        started(tmp_path, own.bootstrap) as system,
    ):
        system.settings |= {"ORDERS_SAGA__PAYING_MS": "3000", "ORDERS_PAYMENT__BREAKER_FAILURES": "10000"}
        yield system


async def test_after_a_kill_time_outs_and_repeats_nothing_differs(
    hasty: System, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    _, url = await hasty.worker()
    shop, sku = Shop(session, url), new_sku()
    await shop.restock(sku, 50)
    tokens = ("tok_ok", "tok_slow", "tok_declined") * 3
    placed = [await shop.place(order(item(sku), token=token)) for token in tokens]
    await hasty.restart(url, signal.SIGKILL)
    await asyncio.gather(*map(shop.settled, placed))
    await asyncio.to_thread(hasty.simulator.stop)
    late = [await shop.place(order(item(sku))) for _ in range(2)]
    ends = await asyncio.gather(*map(shop.settled, late))
    assert {one["reason"] for one in ends} == {"PAYMENT_TIMEOUT"}
    await asyncio.to_thread(hasty.start_simulator)
    placed += late
    repeated = ("ORDER_CREATED", "INVENTORY_DEDUCTED", "PAYMENT_REQUESTED", "INVENTORY_SALE_REQUESTED")
    assert await asyncio.to_thread(repeat, hasty, repeated) >= len(placed)
    folder = tmp_path / "scratch"
    folder.mkdir()
    code, found, out = await quiet(hasty, folder)
    assert (code, found["differences"], found["left_out"]) == (0, [], {}), out
    assert sum(found["orders"].values()) == len(placed)


def repeat(system: System, names: Sequence[str]) -> int:
    """Put every record of these topics on them once more, and return how many those are."""
    settings = load().model_copy(update={"broker": system.bootstrap})
    places = [(name, number) for name in names for number in range(settings.partitions)]
    spans = {place: Span(0, end) for place, end in Offsets(settings).ends(places).items()}
    producer = Producer({"bootstrap.servers": system.bootstrap})
    count = 0
    for records in read(settings, spans):
        for record in records:
            producer.produce(str(record.topic()), record.value(), record.key(), record.partition() or 0)
            count += 1
    assert producer.flush(DEADLINE_S) == 0
    return count


async def test_an_order_is_shown_as_it_was(shop: Shop, system: System, tmp_path: Path) -> None:
    sku = new_sku()
    await shop.restock(sku, 5)
    order_id = (await shop.buy(order(item(sku, quantity=2))))["order_id"]
    _, timeline = await shop.get(f"/orders/{order_id}/events")
    steps = {step["type"]: step["at"] for step in timeline["events"]}
    before_it_was_paid = before(steps["PAYMENT_COMPLETED"])
    now, unpaid, reserved, nothing = await asyncio.gather(
        rebuild(system, folder_in(tmp_path, "now"), "--order", order_id),
        rebuild(system, folder_in(tmp_path, "unpaid"), "--until", before_it_was_paid, "--order", order_id),
        rebuild(system, folder_in(tmp_path, "reserved"), "--until", before_it_was_paid, "--sku", sku),
        rebuild(system, folder_in(tmp_path, "nothing"), "--until", "2000-01-01T00:00:00Z"),
    )
    code, found, out = now
    assert (code, [each["status"] for each in found["shown"]]) == (0, ["COMPLETED", "COMPLETED"]), out
    _, found, out = unpaid
    assert [each["status"] for each in found["shown"]] == ["INVENTORY_DEDUCTED", "CHARGING"], out
    _, found, out = reserved
    counters = [(each["available"], each["reserved"], each["sold"]) for each in found["items"]]
    assert counters == [(3, 2, 0)], out
    code, found, out = nothing
    assert (code, found["orders"], found["records"]) == (0, {}, 0)


def folder_in(folder: Path, name: str) -> Path:
    """Return a new folder in this one."""
    made = folder / name
    made.mkdir()
    return made


def before(at: str) -> str:
    """Return the instant before a time, as the log has them."""
    return (datetime.fromisoformat(at) - timedelta(milliseconds=1)).isoformat()


async def test_what_is_no_time_is_one_sentence(system: System, tmp_path: Path) -> None:
    code, _, out = await rebuild(system, tmp_path, "--until", "yesterday")
    assert code == 2
    assert "is no time as RFC 3339 has it" in out


async def test_ctrl_c_is_one_sentence_and_leaves_nothing(system: System, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "rebuild", "--scratch", str(tmp_path)),
        env={"ORDERS_BROKER": system.bootstrap},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        while not [*tmp_path.glob("order-saga-*")]:  # noqa: ASYNC110, ASYNC240  # another process makes it
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (2, "error: it was interrupted, and has no result\n")
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240  # small


async def test_a_kafka_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    away = SimpleNamespace(bootstrap=f"{HOST}:{free_port()}", settings={})
    code, _, out = await rebuild(away, tmp_path)  # type: ignore[arg-type]  # all that is asked of it
    assert (code, out.count("\n")) == (2, 1)
    assert out.startswith("error: no Kafka answers at ")
