"""Idempotency keys where time or Kafka is against them: they expire, and an outcome is not known."""

import asyncio
import os
import signal
from functools import partial
from uuid import uuid4

import aiohttp

from app.broker import Broker
from tests.e2e.shop import Answer, Shop, item, new_sku, order, until
from tests.e2e.system import System

SHORT_S = 5


def is_clear(answer: Answer) -> bool:
    return answer.status != 503


async def test_a_key_that_has_expired_makes_a_new_order_and_a_new_restock(
    patient: System, session: aiohttp.ClientSession, port: int
) -> None:
    worker, url = await patient.worker(port, {"ORDERS_WEB__IDEMPOTENCY_S": str(SHORT_S)})
    shop, sku, key = Shop(session, url), new_sku(), str(uuid4())
    restock = f"/inventory/{sku}/restock"
    for path, body, another in (
        (restock, {"quantity": 5}, {"quantity": 6}),
        ("/orders", order(item(sku)), order(item(sku, quantity=2))),
    ):
        first: Answer = await until(partial(shop.post_once, path, body, key), is_clear)
        second = await until(partial(shop.post_once, path, another, key), lambda found: found.status == 202)
        assert not second.replayed
        assert second.raw != first.raw
    await shop.stock(sku, lambda known: (known["restocked"], known["sold"]) == (11, 3))
    assert await asyncio.to_thread(worker.stop) == 0


async def test_a_request_whose_outcome_was_unknown_makes_one_order_when_it_is_sent_again(
    patient: System, patients_kafka: Broker, session: aiohttp.ClientSession, port: int
) -> None:
    worker, url = await patient.worker(port, {"ORDERS_WEB__ACCEPT_TIMEOUT_MS": "1000"})
    shop, sku, key = Shop(session, url), new_sku(), str(uuid4())
    body, restock = order(item(sku)), f"/inventory/{sku}/restock"
    await shop.restock(sku, 10)
    await until(partial(shop.post_once, "/orders", order(item(sku)), str(uuid4())), is_clear)
    os.kill(patients_kafka.pid, signal.SIGSTOP)
    try:
        ordered, restocked = await asyncio.gather(
            shop.post_once("/orders", body, key), shop.post_once(restock, {"quantity": 5}, key)
        )
        assert (ordered.status, restocked.status) == (503, 503)
        assert (await shop.post_once("/orders", order(item(sku, quantity=2)), key)).status == 422
    finally:
        os.kill(patients_kafka.pid, signal.SIGCONT)
    again = await until(partial(shop.post_once, "/orders", body, key), is_clear)
    assert (again.status, again.document["order_id"]) == (202, ordered.document["order_id"])
    more = await until(partial(shop.post_once, restock, {"quantity": 5}, key), is_clear)
    assert (more.status, more.document["restock_id"]) == (202, restocked.document["restock_id"])
    assert (await shop.settled(again.document["order_id"]))["status"] == "COMPLETED"
    last = await shop.post_once("/orders", body, key)
    assert (last.raw, last.replayed) == (again.raw, True)
    await shop.restock(sku, 1)
    await shop.stock(sku, lambda known: (known["restocked"], known["sold"]) == (16, 2))
    assert await asyncio.to_thread(worker.stop) == 0
