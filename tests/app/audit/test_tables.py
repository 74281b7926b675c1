"""What differs between tables and topics, and when that is an offence."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.audit.book import Book, Entry, Record
from app.audit.facts import Place, Status
from app.audit.stock import Counters
from app.audit.tables import LOOKS, NO_ORDER, Comparison, Suspect, difference, next_suspect
from app.delivery.codec import encode
from app.errors import AuditRefused
from app.scratch import Scratch
from tests.app.audit.histories import LATER
from tests.models.scenario import created

MS = round(LATER.now.timestamp() * 1000)


@pytest.mark.parametrize(
    ("status", "found", "expected"),
    [
        (Status.COMPLETED, "COMPLETED", None),
        (Status.COMPLETED, "CANCELLED", "COMPLETED"),
        (Status.CANCELLED, "CANCELLING", "CANCELLED"),
        (Status.CANCELLED, NO_ORDER, "CANCELLED"),
        (Status.OPEN, "PENDING", None),
        (Status.OPEN, "INVENTORY_DEDUCTED", None),
        (Status.OPEN, "COMPLETED", "an order without an end"),
        (Status.OPEN, "REFUNDING", "an order without an end"),
        (Status.OPEN, "REFUNDED", "an order without an end"),
        (Status.COMPLETED, "REFUNDING", "COMPLETED"),
        (Status.REFUNDING, "REFUNDING", None),
        (Status.REFUNDING, "COMPLETED", "REFUNDING"),
        (Status.REFUNDING, "REFUNDED", "REFUNDING"),
        (Status.REFUNDED, "REFUNDED", None),
        (Status.REFUNDED, "REFUNDING", "REFUNDED"),
        (Status.REFUNDED, "COMPLETED", "REFUNDED"),
        (Status.OPEN, NO_ORDER, "an order without an end"),
    ],
)
def test_an_order_differs_where_its_end_does(status: Status, found: str, expected: str | None) -> None:
    assert difference(Entry(subject="order", status=status), found) == expected


def test_a_sku_differs_where_any_counter_does() -> None:
    counters = Counters(available=1, reserved=2, sold=3, restocked=6)
    entry = Entry(subject="sku", counters=counters)
    assert difference(entry, str(counters)) is None
    assert difference(entry, str(Counters(available=1, reserved=3, sold=2, restocked=6))) == str(counters)


def test_a_row_is_suspect_until_it_has_differed_in_the_same_way_for_long_enough() -> None:
    suspect = None
    for _ in range(LOOKS):
        suspect = next_suspect(suspect, "1 available", "2 available")
    assert suspect == Suspect(expected="1 available", found="2 available", looks=LOOKS)
    assert next_suspect(suspect, "1 available", "3 available").looks == 1
    assert next_suspect(suspect, "0 available", "2 available").looks == 1


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
        return web.json_response({"status": "PENDING"}, status=404 if order_id == self.lost else 200)


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
