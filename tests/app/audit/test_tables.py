"""What differs between tables and topics, and when that is an offence."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.audit.book import Book, Entry, Record
from app.audit.facts import Fact, History, Place, Status
from app.audit.stock import Counters
from app.audit.tables import (
    LOOKS,
    NO_ORDER,
    Comparison,
    Difference,
    Suspect,
    difference,
    next_suspect,
)
from app.delivery.codec import encode
from app.errors import AuditRefused
from app.scratch import Scratch
from models.messages import AboutOrder
from tests.app.audit.histories import LATER, facts_of
from tests.models.scenario import ORDER, created, restock
from tests.models.world import World

MS = round(LATER.now.timestamp() * 1000)


SHOWN: dict[str, Any] = {
    "customer_id": "customer-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": 1000}],
    "currency": "EUR",
    "total": 2000,
}


@pytest.mark.parametrize(
    ("status", "found", "expected"),
    [
        (Status.COMPLETED, "COMPLETED", None),
        (Status.COMPLETED, "CANCELLED", "status COMPLETED"),
        (Status.CANCELLED, "CANCELLING", "status CANCELLED"),
        (Status.CANCELLED, None, "status CANCELLED"),
        (Status.OPEN, "PENDING", None),
        (Status.OPEN, "INVENTORY_DEDUCTED", None),
        (Status.OPEN, "COMPLETED", "an order without an end"),
        (Status.OPEN, "REFUNDING", "an order without an end"),
        (Status.OPEN, "REFUNDED", "an order without an end"),
        (Status.COMPLETED, "REFUNDING", "status COMPLETED"),
        (Status.REFUNDING, "REFUNDING", None),
        (Status.REFUNDING, "COMPLETED", "status REFUNDING"),
        (Status.REFUNDING, "REFUNDED", "status REFUNDING"),
        (Status.REFUNDED, "REFUNDED", None),
        (Status.REFUNDED, "REFUNDING", "status REFUNDED"),
        (Status.REFUNDED, "COMPLETED", "status REFUNDED"),
        (Status.OPEN, None, "an order without an end"),
    ],
)
def test_an_order_differs_where_its_end_does(status: Status, found: str | None, expected: str | None) -> None:
    document = None if found is None else {**SHOWN, "status": found}
    differs = difference(Entry(subject="order", status=status, shown=SHOWN), document)
    answered = NO_ORDER if found is None else f"status {found}"
    assert differs == (None if expected is None else (expected, answered))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("customer_id", "customer-2"),
        ("items", [{"sku": "A", "quantity": 1, "unit_price": 1000}]),
        ("items", [{"sku": "A", "quantity": 2, "unit_price": 999}]),
        ("items", [{"sku": "B", "quantity": 2, "unit_price": 1000}]),
        ("items", []),
        ("currency", "USD"),
        ("total", 1999),
        ("total", None),
        ("reason", "CUSTOMER_REQUEST"),
        ("reason", None),
    ],
)
def test_an_order_differs_where_a_field_does_that_the_topics_tell(name: str, other: object) -> None:
    shown = {**SHOWN, "reason": "PAYMENT_DECLINED"}
    entry = Entry(subject="order", status=Status.CANCELLED, shown=shown)
    answer = {**shown, "status": "CANCELLED", "version": 7}
    assert difference(entry, answer) is None
    assert difference(entry, {**answer, name: other}) == (f"{name} {shown[name]}", f"{name} {other}")


def test_all_that_differs_in_an_order_is_named() -> None:
    entry = Entry(subject="order", status=Status.OPEN, shown=SHOWN)
    answer = {**SHOWN, "status": "CANCELLED", "total": 1, "currency": "USD"}
    assert difference(entry, answer) == (
        "an order without an end, currency EUR, total 2000",
        "status CANCELLED, currency USD, total 1",
    )


@pytest.mark.parametrize(("stock", "reason"), [(5, None), (1, "INVENTORY_INSUFFICIENT")])
def test_a_worker_must_show_the_order_as_it_was_placed_and_why_it_was_cancelled(
    stock: int, reason: str | None
) -> None:
    world = World()
    for message in (restock(stock), created(("A", 2))):
        world.append(message)
        world.drain()
    said = [fact for fact in facts_of(world) if isinstance(fact.message, AboutOrder)]
    assert History(ORDER, said).shown == {**SHOWN, "reason": reason}


def test_of_an_open_order_the_reason_is_not_known_yet() -> None:
    placed = Fact(created(("A", 2)), Place("ORDER_CREATED", 0, 0))
    assert History(ORDER, [placed]).shown == SHOWN


def test_a_sku_differs_where_any_counter_does() -> None:
    counters = Counters(available=1, reserved=2, sold=3, restocked=6)
    entry = Entry(subject="sku", counters=counters)
    answer = asdict(counters)
    assert difference(entry, answer) is None
    other = Counters(available=1, reserved=3, sold=2, restocked=6)
    assert difference(entry, asdict(other)) == (str(counters), str(other))
    assert difference(entry, None) == (str(counters), str(Counters()))


def test_a_row_is_suspect_until_it_has_differed_in_the_same_way_for_long_enough() -> None:
    suspect, differs = None, Difference("1 available", "2 available")
    for _ in range(LOOKS):
        suspect = next_suspect(suspect, differs)
    assert suspect == Suspect(expected="1 available", found="2 available", looks=LOOKS)
    assert next_suspect(suspect, Difference("1 available", "3 available")).looks == 1
    assert next_suspect(suspect, Difference("0 available", "2 available")).looks == 1


class Answers:
    """Answer as a worker that does not know an order which was lost, and goes away after so many answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lost = ""
        self.left = 0

    async def order(self, request: web.Request) -> web.Response:
        """Answer with an order."""
        if not self.left:
            return web.json_response({}, status=500)
        self.left -= 1
        order_id = request.match_info["order_id"]
        self.asked.append(order_id)
        shown = {**SHOWN, "items": [{**SHOWN["items"][0], "quantity": 1}], "total": 1000}
        answer = {**shown, "status": "PENDING"}
        return web.json_response(answer, status=404 if order_id == self.lost else 200)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def url(answers: Answers) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/orders/{order_id}", answers.order)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


async def test_a_comparison_that_fails_goes_on_where_it_was_though_more_has_been_judged(
    answers: Answers, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.audit.tables.IN_FLIGHT", 1)
    orders = [f"order-{number}" for number in range(6)]
    with Scratch(tmp_path) as scratch:
        book = Book(scratch)
        comparison = Comparison(url, book, scratch)
        for said, answered in ((orders[:3], 0), (orders[3:5], 2)):
            place(book, said)
            answers.left = answered
            with pytest.raises(AuditRefused):
                await comparison.compare()
        answers.left = 100
        answers.lost = next(order for order in orders[:3] if order not in answers.asked)
        place(book, orders[5:])
        await comparison.compare()
        assert sorted(answers.asked) == orders
        assert (comparison.counts.orders, comparison.counts.moving) == (6, 1)


def place(book: Book, orders: list[str]) -> None:
    """Have orders placed, and the book judge them; they are open."""
    for order in orders:
        message = created(("A", 1), order=order, at=3 * 86_400)
        offset = book.totals.records
        book.take([Record(Place(message.type, 0, offset), MS, message.key.encode(), encode(message))])
    book.judge(LATER, {("ORDER_CREATED", 0): book.totals.records})
