"""The auditor on a real Kafka: clean topics, a forged event, tables that differ, and the watch."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from confluent_kafka import Producer

from app import broker, topics
from app.audit.tables import LOOKS
from app.delivery.codec import encode
from app.settings import load
from models.events import PaymentCompleted
from models.messages import Message
from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import HOST, SHORT_SESSION, System, free_port
from tests.e2e.test_cancel import paying
from tests.faults.node import Node
from tests.models.scenario import cancel_requested, created, refund_requested, restock
from tests.models.world import World

DEADLINE_S = 60


async def start(bootstrap: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "audit", *arguments),
        env={"ORDERS_BROKER": bootstrap, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def audit(bootstrap: str, folder: Path, *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Run one audit, and return its exit code, what it found and its output."""
    file = folder / "audit.json"
    code, out, err = await end(await start(bootstrap, "--json", str(file), *arguments))
    assert file.exists(), (out, err)  # a small file
    return code, json.loads(file.read_bytes()), out + err


def publish(bootstrap: str, messages: Sequence[Message]) -> None:
    """Put messages on their topics, one after the other, so that the broker dates them in this order."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "partitioner": "murmur2_random"})
    for message in messages:
        producer.produce(message.type, encode(message), message.key)
        assert producer.flush(DEADLINE_S) == 0


def a_small_world() -> list[Message]:
    """Return all that is said about an order that is completed, one that is not, and one taken back."""
    world = World()
    for message in (
        restock(5),
        created(("A", 2), order="good"),
        created(("A", 9), order="greedy"),
        created(("A", 1), order="unloved"),
        refund_requested(order="unloved"),
    ):
        world.append(message)
        world.drain()
    said = [message for logged in world.logs.values() for message in logged]
    return sorted(said, key=lambda message: message.at)


def forged_charge() -> PaymentCompleted:
    """Return a charge that nobody asked for."""
    return PaymentCompleted(
        event_id="forged",
        occurred_at=datetime.now(UTC),
        correlation_id="correlation-good",
        causation_id="nothing",
        order_id="good",
        amount=2000,
        currency="EUR",
        charge_id="ch-forged",
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a Kafka with the topics, which no worker reads and other tests do not see."""
    with broker.start(tmp_path_factory.mktemp("other"), options=broker.QUICK) as running:
        topics.ensure(load().model_copy(update={"broker": running.bootstrap}))
        yield running.bootstrap


@pytest.fixture(scope="module")
def small(other: str) -> str:
    """Give the same with a small world in it."""
    publish(other, a_small_world())
    return other


def shown(quantity: int, status: str, reason: str | None = None) -> dict[str, Any]:
    """Return an order of the small world as a worker shows it."""
    return {
        "customer_id": "customer-1",
        "status": status,
        "reason": reason,
        "items": [{"sku": "A", "quantity": quantity, "unit_price": 1000}],
        "currency": "EUR",
        "total": quantity * 1000,
    }


class Tables:
    """Answer as a worker would whose tables are as the test says."""

    def __init__(self) -> None:
        self.orders = {
            "good": shown(2, "COMPLETED"),
            "greedy": shown(9, "CANCELLED", "INVENTORY_INSUFFICIENT"),
            "unloved": shown(1, "REFUNDED"),
        }
        self.stock = {"sku": "A", "available": 3, "reserved": 0, "sold": 2, "restocked": 5}
        self.asked = 0

    async def order(self, request: web.Request) -> web.Response:
        """Answer with an order."""
        self.asked += 1
        found = self.orders.get(request.match_info["order_id"])
        return web.json_response(found, status=200 if found else 404)

    async def item(self, request: web.Request) -> web.Response:
        """Answer with the counters of the one SKU, not at once."""
        self.asked += 1
        if self.asked == 1:
            return web.json_response({}, status=503)
        return web.json_response(self.stock, status=200 if request.match_info["sku"] == "A" else 404)


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
async def url(tables: Tables) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/orders/{order_id}", tables.order)
    app.router.add_get("/inventory/{sku}", tables.item)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_after_some_orders_topics_and_tables_are_clean(
    shop: Shop, system: System, worker: str, tmp_path: Path
) -> None:
    plenty, scarce = new_sku("plenty"), new_sku("scarce")
    await shop.restock(plenty, 50)
    await shop.restock(scarce, 1)
    bodies = [
        *(order(item(plenty, quantity=2), token=token) for token in ("tok_ok", "tok_declined", "tok_flaky")),
        *(order(item(plenty), item(scarce)) for _ in range(4)),
    ]
    placed = await asyncio.gather(*(shop.buy(body) for body in bodies))
    assert {one["status"] for one in placed} == {"COMPLETED", "CANCELLED"}
    code, found, out = await audit(system.bootstrap, tmp_path, "--worker", worker)
    assert (code, found["offences"], found["offenders"]) == (0, {}, []), out
    assert found["orders"]["COMPLETED"] >= 3
    assert found["moving"] == 0
    checked = found["checked"]
    assert checked["tables are what the topics say"]["orders"] >= len(placed)
    assert checked["events have a cause, and an id of their own"]["events"] <= found["records"]
    assert checked["stock adds up and is never negative"]["SKUs"] >= 2
    assert "orders end once and in time" in out


async def test_after_cancellations_and_refunds_topics_and_tables_are_clean(
    shop: Shop, system: System, worker: str, tmp_path: Path
) -> None:
    sku = new_sku()
    await shop.restock(sku, 50)
    unpaid = await asyncio.gather(*(paying(shop, sku) for _ in range(3)))
    early = [await shop.place(order(item(sku))) for _ in range(3)]
    for order_id in unpaid:
        assert (await shop.cancel(order_id))[0] == 202
    await asyncio.gather(*map(shop.cancel, early))  # either the customer or the payment is first
    settled = await asyncio.gather(*map(shop.settled, (*unpaid, *early)))
    assert {one["status"] for one in settled[: len(unpaid)]} == {"CANCELLED"}
    tokens = ("tok_ok", "tok_ok", "tok_refund_flaky")
    sold = await asyncio.gather(*(shop.buy(order(item(sku, quantity=2), token=token)) for token in tokens))
    assert {one["status"] for one in sold} == {"COMPLETED"}
    for one in sold:
        assert (await shop.refund(one["order_id"]))[0] == 202
    ended = await asyncio.gather(*(shop.settled(one["order_id"]) for one in sold))
    assert {one["status"] for one in ended} == {"REFUNDED"}
    assert "PAYMENT_REFUND_DELAYED" in await shop.timeline(ended[-1]["order_id"])
    code, found, out = await audit(system.bootstrap, tmp_path, "--worker", worker)
    assert (code, found["offences"], found["offenders"]) == (0, {}, []), out
    assert found["orders"]["REFUNDED"] >= len(sold)
    assert found["moving"] == 0


async def test_a_small_world_is_clean_and_agrees_with_tables_that_are(
    small: str, url: str, tables: Tables, tmp_path: Path
) -> None:
    code, found, out = await audit(small, tmp_path, "--worker", url)
    assert code == 0, out
    assert found["orders"] == {"OPEN": 0, "COMPLETED": 1, "CANCELLED": 1, "REFUNDING": 0, "REFUNDED": 1}
    assert found["checked"]["tables are what the topics say"] == {"orders": 3, "SKUs": 1}
    assert tables.asked >= 4


async def test_tables_that_differ_are_offences(small: str, url: str, tables: Tables, tmp_path: Path) -> None:
    del tables.orders["good"]
    tables.orders["greedy"]["status"] = "COMPLETED"
    tables.orders["unloved"]["status"] = "REFUNDING"
    tables.stock["available"] = 4
    code, found, out = await audit(small, tmp_path, "--worker", url)
    assert code == 1, out
    assert found["offences"] == {"order differs": 3, "stock differs": 1}
    differing = {each["subject"]: (each["expected"], each["found"]) for each in found["offenders"]}
    assert differing == {
        "good": ("status COMPLETED", "no such order"),
        "greedy": ("status CANCELLED", "status COMPLETED"),
        "unloved": ("status REFUNDED", "status REFUNDING"),
        "A": (
            "3 available, 0 reserved, 2 sold of 5 restocked",
            "4 available, 0 reserved, 2 sold of 5 restocked",
        ),
    }


async def test_fields_that_differ_are_named(small: str, url: str, tables: Tables, tmp_path: Path) -> None:
    dearer = [{"sku": "A", "quantity": 1, "unit_price": 1001}]
    tables.orders["good"] |= {"total": 1}
    tables.orders["greedy"] |= {"reason": "PAYMENT_DECLINED"}
    tables.orders["unloved"] |= {"customer_id": "another", "items": dearer, "currency": "USD"}
    code, found, out = await audit(small, tmp_path, "--worker", url)
    assert code == 1, out
    assert found["offences"] == {"order differs": 3}
    differing = {each["subject"]: (each["expected"], each["found"]) for each in found["offenders"]}
    placed = shown(1, "REFUNDED")["items"]
    assert differing == {
        "good": ("total 2000", "total 1"),
        "greedy": ("reason INVENTORY_INSUFFICIENT", "reason PAYMENT_DECLINED"),
        "unloved": (
            f"customer_id customer-1, items {placed}, currency EUR",
            f"customer_id another, items {dearer}, currency USD",
        ),
    }


async def test_a_worker_that_is_not_there_is_one_sentence(small: str) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    code, _, err = await end(await start(small, "--worker", nowhere))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: nobody answers at {nowhere}: ")


async def test_a_kafka_that_is_not_there_is_one_sentence() -> None:
    code, _, err = await end(await start(f"{HOST}:{free_port()}"))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: no Kafka answers at ")


async def test_metrics_need_follow(small: str) -> None:
    code, _, err = await end(await start(small, "--metrics-port", str(free_port())))
    assert code == 2
    assert "--follow" in err


async def test_ctrl_c_before_the_end_is_one_sentence_and_no_result(small: str) -> None:
    asked = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/{path:.*}", never)
    async with TestServer(app) as server:
        process = await start(small, "--worker", str(server.make_url("")))
        async with asyncio.timeout(DEADLINE_S):
            await asked.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            code, _, err = await end(process)
    assert (code, err) == (2, "error: it was interrupted, and has no result\n")


async def metric(session: aiohttp.ClientSession, port: int, line: str) -> None:
    """Wait until the metrics have this line."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                async with session.get(f"http://{HOST}:{port}/metrics") as answer:
                    if line in (await answer.text()).splitlines():
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def test_what_goes_wrong_while_it_watches_is_found_and_ctrl_c_ends_it(
    small: str, session: aiohttp.ClientSession
) -> None:
    """An order that is open runs into its deadline, and a charge is forged."""
    port = free_port()
    arguments = ("--follow", "--every-s", "0.2", "--deadline-s", "5", "--metrics-port", str(port))
    process = await start(small, *arguments)
    await metric(session, port, 'orders_audit_orders{status="COMPLETED"} 1.0')
    await metric(session, port, 'orders_audit_offences{kind="no end"} 0.0')
    waiting = created(("A", 1), order="waiting")
    await asyncio.to_thread(publish, small, [waiting])
    await metric(session, port, 'orders_audit_orders{status="OPEN"} 1.0')
    await metric(session, port, 'orders_audit_offences{kind="no end"} 1.0')
    await asyncio.to_thread(publish, small, [cancel_requested(order="waiting"), forged_charge()])
    await metric(session, port, 'orders_audit_offences{kind="charged twice"} 1.0')
    await metric(session, port, 'orders_audit_offences{kind="no cause"} 1.0')
    process.send_signal(signal.SIGINT)
    code, out, err = await end(process)
    assert (code, err) == (1, "")
    assert "ch-forged" in out


async def reaches(session: aiohttp.ClientSession, port: int, name: str, least: float) -> float:
    """Wait until one of the metrics is as high as that, and return it."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(aiohttp.ClientError):  # it may not serve them yet
                async with session.get(f"http://{HOST}:{port}/metrics") as answer:
                    lines = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines())
                if float(lines[name]) >= least:
                    return float(lines[name])
            await asyncio.sleep(0.1)


async def test_a_watch_outlasts_the_restart_of_its_worker(
    shop: Shop, system: System, session: aiohttp.ClientSession
) -> None:
    sku, port = new_sku(), free_port()
    await shop.restock(sku, 50)
    command, url = await system.worker(environment=SHORT_SESSION)
    arguments = ("--worker", url, "--every-s", "0.2", "--metrics-port", str(port))
    process = await start(system.bootstrap, "--follow", *arguments)
    looks = await reaches(session, port, "orders_audit_looks_total", 1)
    await asyncio.to_thread(command.stop)
    placed = [await shop.place(order(item(sku))) for _ in range(5)]
    await reaches(session, port, "orders_audit_failed_looks_total", 1)
    again, _ = await system.worker(int(url.rsplit(":", 1)[1]), SHORT_SESSION)
    settled = await asyncio.gather(*map(shop.settled, placed))
    await reaches(session, port, "orders_audit_looks_total", looks + LOOKS)
    process.send_signal(signal.SIGINT)
    code, out, err = await end(process)
    assert {one["status"] for one in settled} == {"COMPLETED"}
    assert (code, err) == (0, ""), out
    assert out.count(f"nobody answers at {url}") == 1
    assert await asyncio.to_thread(again.stop) == 0


async def test_a_watch_outlasts_a_kafka_that_is_killed_and_counts_nothing_twice(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = free_port()
    with Node(tmp_path / "kafka") as node:
        topics.ensure(load().model_copy(update={"broker": node.bootstrap}))
        world = a_small_world()
        await asyncio.to_thread(publish, node.bootstrap, world[:-3])
        process = await start(node.bootstrap, "--follow", "--every-s", "0.2", "--metrics-port", str(port))
        await metric(session, port, f"orders_audit_records {len(world) - 3}.0")
        node.kill()
        await reaches(session, port, "orders_audit_failed_looks_total", 1)
        await node.start()
        await asyncio.to_thread(publish, node.bootstrap, world[-3:])
        await metric(session, port, f"orders_audit_records {len(world)}.0")
        process.send_signal(signal.SIGINT)
        code, out, err = await end(process)
    assert (code, err) == (0, ""), out
    assert out.count("does not answer") == 1
    assert f"Checked {len(world)} records" not in out.split("does not answer")[0]


async def test_a_forged_event_is_found_with_its_place(small: str, tmp_path: Path) -> None:
    await asyncio.to_thread(publish, small, [forged_charge()])
    code, found, out = await audit(small, tmp_path)
    assert code == 1
    assert {"charged twice", "no cause"} <= found["offences"].keys()
    offender = next(each for each in found["offenders"] if each["kind"] == "no cause")
    assert offender["subject"] == "good"
    assert offender["place"].startswith("PAYMENT_COMPLETED/")
    assert offender["found"] == "nothing is not in the topics"
    assert "no cause" in out
    code, found, out = await audit(small, tmp_path, "--offenders", "1")
    assert (code, len(found["offenders"])) == (1, 1)
    assert found["more"] >= 1
    assert f"and {found['more']} more" in out


async def test_an_order_that_is_open_is_an_offence_where_nothing_is_under_way(
    small: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, small, [created(("A", 1), order="left")])
    _, found, out = await audit(small, tmp_path)
    assert "no end" not in found["offences"], out
    code, found, out = await audit(small, tmp_path, "--at-rest")
    left = [each["kind"] for each in found["offenders"] if each["subject"] == "left"]
    assert (code, left) == (1, ["no end"]), out
    code, _, err = await end(await start(small, "--at-rest", "--follow"))
    assert (code, "what is followed is not at rest" in err) == (2, True)
