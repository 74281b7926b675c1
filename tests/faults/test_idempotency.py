"""Idempotency keys where time or Kafka is against them: they expire, and an outcome is not known."""

import asyncio
import os
import signal
from functools import partial
from uuid import uuid4

import aiohttp
import pytest

from app.broker import Broker
from tests.e2e.shop import Answer, Shop, item, new_sku, order, until
from tests.e2e.system import System
from tests.faults.judging import Judge
from tests.faults.trial import Trial

SHORT_S = 5
KEYS = 32


def is_clear(answer: Answer) -> bool:
    return answer.status != 503


def is_accepted(answer: Answer) -> bool:
    return answer.status == 202


@pytest.mark.full
async def test_a_key_that_has_expired_makes_a_new_order_and_a_new_restock(
    trial: Trial, patient: System, session: aiohttp.ClientSession, port: int
) -> None:
    brief = {"ORDERS_WEB__IDEMPOTENCY_S": str(SHORT_S), "ORDERS_WEB__ACCEPT_TIMEOUT_MS": "1000"}
    worker, url = await patient.worker(port, brief)
    shop, sku, key = Shop(session, url), new_sku(), str(uuid4())
    restock = f"/inventory/{sku}/restock"
    restocked = await until(partial(shop.post_once, restock, {"quantity": 5}, key), is_clear)
    await shop.stock(sku, lambda known: known["restocked"] == 5)
    ordered = await until(partial(shop.post_once, "/orders", order(item(sku)), key), is_clear)
    seconds = await asyncio.gather(
        until(partial(shop.post_once, restock, {"quantity": 6}, key), is_accepted),
        until(partial(shop.post_once, "/orders", order(item(sku, quantity=2)), key), is_accepted),
    )
    for first, second in zip((restocked, ordered), seconds, strict=True):
        assert not second.replayed
        assert second.raw != first.raw
    await shop.stock(sku, lambda known: (known["restocked"], known["sold"]) == (11, 3))
    assert len(await Judge(trial, patient, {sku: 11}).all_is_well(shop)) == 2
    assert await asyncio.to_thread(worker.stop) == 0


@pytest.mark.full
async def test_a_request_whose_outcome_was_unknown_makes_one_order_when_it_is_sent_again(
    trial: Trial, patient: System, patients_kafka: Broker, session: aiohttp.ClientSession, port: int
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
        trial.hit(1)
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
    assert len(await Judge(trial, patient, {sku: 16}).all_is_well(shop)) == 2
    assert await asyncio.to_thread(worker.stop) == 0


@pytest.mark.full
async def test_a_worker_that_goes_on_after_its_session_gives_no_key_an_answer_of_its_own(
    trial: Trial, patient: System, session: aiohttp.ClientSession, port: int
) -> None:
    first, url = await patient.worker(port)
    second, woken_url = await patient.worker()
    shop, woken = Shop(session, url), Shop(session, woken_url)
    await until(lambda: shop.get("/health/ready"), lambda answer: answer[0] == 200)
    sku, keys = new_sku(), [str(uuid4()) for _ in range(KEYS)]
    body, another = order(item(sku)), order(item(sku, quantity=2))
    await until(partial(shop.post_once, f"/inventory/{sku}/restock", {"quantity": KEYS}, "stock"), is_clear)
    known = await asyncio.gather(*(answered(woken, body, key) for key in keys[: KEYS // 2]))
    second.signal(signal.SIGSTOP)
    answers = await asyncio.gather(*(answered(shop, body, key) for key in keys))
    assert [answer.raw for answer in answers[: KEYS // 2]] == [answer.raw for answer in known]
    assert {answer.status for answer in answers} == {202}

    second.signal(signal.SIGCONT)
    late = await asyncio.gather(
        *(woken.post_once("/orders", wanted, key) for key in keys for wanted in (body, another)),
        return_exceptions=True,  # it may end instead, and be right
    )
    told = [answer for answer in late if isinstance(answer, Answer)]
    for answer in told:
        assert answer.status in {422, 503} or (
            answer.raw in [each.raw for each in answers] and answer.replayed
        )
    trial.hit(len(told))
    settled = await Judge(trial, patient, {sku: KEYS}).all_is_well(shop)
    assert {one["order_id"] for one in settled} == {answer.document["order_id"] for answer in answers}
    assert {one["status"] for one in settled} == {"COMPLETED"}
    assert await asyncio.to_thread(second.stop) in {0, 70}
    assert await asyncio.to_thread(first.stop) == 0


async def answered(shop: Shop, body: object, key: str) -> Answer:
    """Place an order with the key, once there is an answer."""
    found: Answer = await until(partial(shop.post_once, "/orders", body, key), is_clear)
    return found
