"""What HTTP refuses, what it just about accepts, and that nothing of what it refuses enters Kafka."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
import uuid_utils
from confluent_kafka import Consumer, TopicPartition
from yarl import URL

from app.settings import LimitSettings, WebSettings
from tests.e2e.shop import Document, Shop, item, new_sku, order
from tests.e2e.system import System

JSON = {"Content-Type": "application/json"}
LIMITS = LimitSettings()
ACCEPTING_TOPICS = ("ORDER_CREATED", "INVENTORY_RESTOCKED")
KAFKA_S = 30
PATIENCE_S = WebSettings().appear_timeout_ms / 1000
AT_ONCE_S = PATIENCE_S / 2

Fault = tuple[str, str]
"""Where and what: the dotted loc and the type."""


class Answer(NamedTuple):
    """Be an answer, as far as these tests look at it."""

    status: int
    headers: Any
    document: Any


@dataclass(frozen=True)
class Wrong:
    """Be a request that must be refused, and how."""

    what: str
    body: bytes
    faults: frozenset[Fault] = frozenset()
    status: int = 422
    path: str = "/orders"
    headers: dict[str, str] = field(default_factory=lambda: JSON)

    def __str__(self) -> str:
        return self.what


def good(**changed: Any) -> Document:
    return {**order(item("sku-1")), **changed}


def with_item(**changed: Any) -> Document:
    return good(items=[{**item("sku-1"), **changed}])


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


def lines(count: int) -> list[Document]:
    return [item(f"sku-{number}") for number in range(count)]


def unfit(what: str, document: Any, *faults: Fault, path: str = "/orders") -> Wrong:
    return Wrong(what, raw(document), frozenset(faults), path=path)


def without(document: Document, name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


PATTERN = "string_pattern_mismatch"
QUANTITY = "body.items.0.quantity"
UNIT_PRICE = "body.items.0.unit_price"
BAD_IDS = {
    "empty": ("", PATTERN),
    "of 65 characters": ("a" * 65, PATTERN),
    "with a space": ("a b", PATTERN),
    "with a slash": ("a/b", PATTERN),
    "with an umlaut": ("ä", PATTERN),
    "with a line end": ("a\n", PATTERN),
    "with a NUL": ("a\0", PATTERN),
    "that is a number": (1, "string_type"),
    "that is null": (None, "string_type"),
    "that is a list": (["a"], "string_type"),
}
BAD_QUANTITIES = {
    "0": (0, "greater_than_equal"),
    "-1": (-1, "greater_than_equal"),
    "1001": (1_001, "less_than_equal"),
    "10**30": (10**30, "less_than_equal"),
    "true": (True, "int_type"),
    "1.0": (1.0, "int_type"),
    "NaN": (float("nan"), "int_type"),
    "Infinity": (float("inf"), "int_type"),
    "a string": ("1", "int_type"),
    "null": (None, "int_type"),
}

SHAPES = (
    unfit("a list in place of the order", [good()], ("body", "model_type")),
    unfit("a string in place of the order", "order", ("body", "model_type")),
    unfit("null in place of the order", None, ("body", "model_type")),
    unfit("an unknown field", good(note="hello"), ("body.note", "extra_forbidden")),
    unfit("an unknown field of an item", with_item(name="x"), ("body.items.0.name", "extra_forbidden")),
    unfit(
        "an unknown field of the payment",
        good(payment={"token": "tok_ok", "card": "4111"}),
        ("body.payment.card", "extra_forbidden"),
    ),
    *(
        unfit(f"an order without {name}", without(good(), name), (f"body.{name}", "missing"))
        for name in ("customer_id", "currency", "items", "payment")
    ),
    *(
        unfit(
            f"an item without {name}",
            good(items=[without(item("sku-1"), name)]),
            (f"body.items.0.{name}", "missing"),
        )
        for name in ("sku", "quantity", "unit_price")
    ),
    unfit("a payment that is null", good(payment=None), ("body.payment", "model_type")),
)
ITEMS = (
    unfit("no items", good(items=[]), ("body.items", "too_short")),
    unfit("51 items", good(items=lines(51)), ("body.items", "too_long")),
    unfit("items that are no list", good(items=item("sku-1")), ("body.items", "list_type")),
    unfit("items that are null", good(items=None), ("body.items", "list_type")),
    unfit("an item that is no object", good(items=["sku-1"]), ("body.items.0", "model_type")),
    unfit("a SKU in two lines", good(items=[*lines(3), item("sku-1")]), ("body.items", "value_error")),
    *(
        unfit(f"a quantity of {what}", with_item(quantity=value), (QUANTITY, kind))
        for what, (value, kind) in BAD_QUANTITIES.items()
    ),
    unfit("a unit price of -1", with_item(unit_price=-1), (UNIT_PRICE, "greater_than_equal")),
    unfit("a unit price of 10**12 + 1", with_item(unit_price=10**12 + 1), (UNIT_PRICE, "less_than_equal")),
    unfit("a unit price of 1.5", with_item(unit_price=1.5), (UNIT_PRICE, "int_type")),
    unfit("a unit price of null", with_item(unit_price=None), (UNIT_PRICE, "int_type")),
)
NAMES = (
    *(
        unfit(f"a customer {what}", good(customer_id=value), ("body.customer_id", kind))
        for what, (value, kind) in BAD_IDS.items()
    ),
    *(
        unfit(f"a SKU {what}", with_item(sku=value), ("body.items.0.sku", kind))
        for what, (value, kind) in BAD_IDS.items()
    ),
    unfit("the currency EURO", good(currency="EURO"), ("body.currency", PATTERN)),
    unfit("the currency eur", good(currency="eur"), ("body.currency", PATTERN)),
    unfit("the currency XYZ", good(currency="XYZ"), ("body.currency", "ISO4217")),
    unfit("a currency of 978", good(currency=978), ("body.currency", "string_type")),
    unfit("a payment without token", good(payment={}), ("body.payment.token", "missing")),
    unfit("an empty token", good(payment={"token": ""}), ("body.payment.token", PATTERN)),
    unfit("a token of 256", good(payment={"token": "t" * 256}), ("body.payment.token", PATTERN)),
    unfit("a token with a space", good(payment={"token": "t t"}), ("body.payment.token", PATTERN)),
    unfit("a token of null", good(payment={"token": None}), ("body.payment.token", "string_type")),
)
SEVERAL = (
    unfit(
        "several faults at once",
        {
            "customer_id": "",
            "currency": "eur",
            "items": [{"sku": " ", "quantity": 0, "unit_price": -1, "name": "x"}, item("sku-2", quantity=0)],
            "payment": {"token": "", "card": "4111"},
            "note": "hello",
        },
        ("body.customer_id", PATTERN),
        ("body.currency", PATTERN),
        ("body.items.0.sku", PATTERN),
        ("body.items.0.quantity", "greater_than_equal"),
        ("body.items.0.unit_price", "greater_than_equal"),
        ("body.items.0.name", "extra_forbidden"),
        ("body.items.1.quantity", "greater_than_equal"),
        ("body.payment.token", PATTERN),
        ("body.payment.card", "extra_forbidden"),
        ("body.note", "extra_forbidden"),
    ),
    unfit(
        "no items and a bad currency",
        good(items=[], currency="XYZ"),
        ("body.items", "too_short"),
        ("body.currency", "ISO4217"),
    ),
    unfit(
        "an empty object",
        {},
        *((f"body.{name}", "missing") for name in ("customer_id", "currency", "items", "payment")),
    ),
)
RESTOCK = "/inventory/sku-1/restock"
RESTOCKS = (
    *(
        unfit(f"a restock of {what}", {"quantity": value}, ("body.quantity", kind), path=RESTOCK)
        for what, (value, kind) in BAD_QUANTITIES.items()
        if value != 1_001
    ),
    unfit(
        "a restock of 1000001",
        {"quantity": 1_000_001},
        ("body.quantity", "less_than_equal"),
        path=RESTOCK,
    ),
    unfit("a restock of nothing", {}, ("body.quantity", "missing"), path=RESTOCK),
    unfit(
        "a restock with an unknown field",
        {"quantity": 1, "sku": "sku-1"},
        ("body.sku", "extra_forbidden"),
        path=RESTOCK,
    ),
    *(
        unfit(
            f"a restock of {what}",
            {"quantity": 1},
            ("path.sku", "string_pattern"),
            path=f"/inventory/{sku}/restock",
        )
        for what, sku in {
            "a SKU of 65 characters": "a" * 65,
            "a SKU with a space": "a%20b",
            "a SKU with a slash": "a%2Fb",
            "a SKU with an umlaut": "%C3%A4",
            "a SKU that is no UTF-8": "%FF",
            "a SKU with a line end": "a%0A",
        }.items()
    ),
)
MALFORMED = tuple(
    Wrong(what, body, status=400)
    for what, body in {
        "an empty body": b"",
        "half a body": raw(good())[:-1],
        "a body with something behind it": raw(good()) + b"x",
        "a body that is no UTF-8": raw(good(customer_id="X")).replace(b"X", b"\xff"),
        "a body with half a surrogate": raw(good(customer_id="\ud800")),
        "a body with a byte order mark": b"\xef\xbb\xbf" + raw(good()),
        "a body in UTF-16": json.dumps(good()).encode("utf-16"),
        "a form": b"customer_id=1",
        "a body nested 30,000 deep": b"[" * 30_000,
    }.items()
)
PACKED = {**JSON, "Content-Encoding": "gzip"}
UNREADABLE = (Wrong("a body that is not the gzip it says", raw(good()), status=400, headers=PACKED),)
MEDIA_TYPES = (
    *(
        Wrong(f"the media type {kind}", raw(good()), status=415, headers={"Content-Type": kind})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json")
    ),
    Wrong("no media type", raw(good()), status=415, headers={}),
    Wrong("no media type of a restock", raw({"quantity": 1}), status=415, headers={}, path=RESTOCK),
)
TOO_LARGE = (
    Wrong("a body a byte too large", raw(good()).ljust(LIMITS.body_bytes + 1), status=413),
    Wrong("a body far too large", b" " * 1_000_000, status=413),
    Wrong("a restock too large", raw({"quantity": 1}).ljust(70_000), status=413, path=RESTOCK),
    Wrong(
        "a small body that unpacks to a large one",
        gzip.compress(raw(good()).ljust(100 * LIMITS.body_bytes)),
        status=413,
        headers=PACKED,
    ),
)
KEYS = tuple(
    Wrong(
        f"a key {what}",
        body,
        frozenset({("header.Idempotency-Key", "idempotency_key")}),
        status=400,
        path=path,
        headers={**JSON, "Idempotency-Key": key},
    )
    for path, body in (("/orders", raw(good())), (RESTOCK, raw({"quantity": 1})))
    for what, key in {
        "that is empty": "",
        "of empty quotes": '""',
        "with a space": "a b",
        "that is two": '"a", "b"',
        "with an umlaut": "ä",
        "of 256 characters": "k" * 256,
    }.items()
)
WITH_A_KEY = tuple(
    replace(wrong, what=f"{wrong.what}, with a key", headers={**wrong.headers, "Idempotency-Key": "key"})
    for wrong in (*SEVERAL, MALFORMED[0], RESTOCKS[0], RESTOCKS[-1], TOO_LARGE[0], MEDIA_TYPES[0])
)
BODIES = (
    *SHAPES,
    *ITEMS,
    *NAMES,
    *SEVERAL,
    *RESTOCKS,
    *MALFORMED,
    *UNREADABLE,
    *MEDIA_TYPES,
    *TOO_LARGE,
    *KEYS,
    *WITH_A_KEY,
)


async def ask(
    shop: Shop, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """Send the path as it is written, and read the answer."""
    url = URL(f"{shop.url}{path}", encoded=True)
    skip = ("Content-Type",) if headers is not None and "Content-Type" not in headers else ()
    async with shop.session.request(
        method, url, data=body, headers=headers, skip_auto_headers=skip
    ) as answer:
        return Answer(answer.status, answer.headers, json.loads(await answer.read()))


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.document
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.document
    assert (document["type"], document["status"]) == ("about:blank", status)
    assert document["title"]
    assert document["detail"]


def faults_in(answer: Answer) -> list[Fault]:
    errors = answer.document.get("errors", [])
    assert all(error.keys() == {"loc", "msg", "type"} and error["msg"] for error in errors)
    return sorted((".".join(map(str, error["loc"])), error["type"]) for error in errors)


async def refuse(shop: Shop, wrong: Wrong) -> None:
    """Send what is wrong, and check that it is refused for what it is."""
    answer = await ask(shop, "POST", wrong.path, wrong.body, wrong.headers)
    assert_problem(answer, wrong.status)
    assert faults_in(answer) == sorted(wrong.faults)


def ends(system: System) -> dict[str, int]:
    """Return how many records the topics that HTTP writes have."""
    consumer = Consumer({"bootstrap.servers": system.bootstrap, "group.id": "none"})
    try:
        counts = dict.fromkeys(ACCEPTING_TOPICS, 0)
        for topic in ACCEPTING_TOPICS:
            for partition in consumer.list_topics(topic, KAFKA_S).topics[topic].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), KAFKA_S)
                counts[topic] += end
        return counts
    finally:
        consumer.close()


@pytest.mark.parametrize("wrong", BODIES, ids=str)
async def test_what_is_wrong_with_a_body_is_refused_and_named(shop: Shop, wrong: Wrong) -> None:
    await refuse(shop, wrong)


async def test_every_fault_stands_in_the_detail_too(shop: Shop) -> None:
    answer = await ask(shop, "POST", "/orders", raw(with_item(quantity=0, unit_price=-1)), JSON)
    assert answer.document["title"] == "Unprocessable Entity"
    assert answer.document["detail"] == f"2 fault(s) in the body: {QUANTITY}, {UNIT_PRICE}"


@pytest.mark.parametrize("kilobytes", [65, 1_000], ids="{} kB".format)
async def test_a_body_without_a_length_is_refused_once_it_is_too_large(shop: Shop, kilobytes: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(kilobytes):
            yield b" " * 1_024

    assert_problem(await ask(shop, "POST", "/orders", chunks(), JSON), 413)


async def test_a_body_without_a_length_is_accepted_up_to_the_limit(shop: Shop) -> None:
    whole = raw(good()).ljust(LIMITS.body_bytes)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 1_024):
            yield whole[start : start + 1_024]

    assert (await ask(shop, "POST", "/orders", chunks(), JSON)).status == 202


async def test_nothing_of_what_is_refused_enters_kafka(shop: Shop, system: System) -> None:
    before = await asyncio.to_thread(ends, system)
    for wrong in BODIES:
        await refuse(shop, wrong)
    assert await asyncio.to_thread(ends, system) == before


async def test_what_is_accepted_is_in_kafka_by_the_time_of_the_answer(shop: Shop, system: System) -> None:
    before = await asyncio.to_thread(ends, system)
    sku = new_sku()
    await shop.place(order(item(sku)))
    assert (await ask(shop, "POST", f"/inventory/{sku}/restock", raw({"quantity": 1}), JSON)).status == 202
    assert await asyncio.to_thread(ends, system) == {topic: count + 1 for topic, count in before.items()}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(order(item(new_sku(), quantity=1, unit_price=0)), id="the least"),
        pytest.param(order(item(new_sku(), quantity=1_000, unit_price=10**12)), id="the most of one SKU"),
        pytest.param(
            order(*(item(new_sku(), quantity=1_000, unit_price=10**12) for _ in range(50))),
            id="50 lines of the most",
        ),
        pytest.param(
            order(item(new_sku().ljust(64, "x")), customer="c" * 64, token="t" * 255), id="the longest ids"
        ),
        pytest.param(order(item(f"{new_sku()}.A_b:9"), customer="A.b_c:d-9"), id="every kind of character"),
        pytest.param(order(item(new_sku("a")), customer="c", token="!"), id="the shortest ids"),
    ],
)
async def test_what_is_just_within_the_limits_is_accepted_and_kept_as_it_was(
    shop: Shop, body: Document
) -> None:
    status, found = await shop.get(f"/orders/{await shop.place(body)}")
    assert status == 200
    assert found["items"] == body["items"]
    assert found["customer_id"] == body["customer_id"]
    assert found["total"] == sum(line["quantity"] * line["unit_price"] for line in body["items"])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(raw(good()).ljust(LIMITS.body_bytes), JSON, id="as large as can be"),
        pytest.param(raw(good()), {"Content-Type": "application/json; charset=utf-8"}, id="with a charset"),
        pytest.param(raw(good()), {"Content-Type": "Application/JSON"}, id="with capitals"),
        pytest.param(gzip.compress(raw(good())), PACKED, id="packed"),
    ],
)
async def test_a_body_may_be(shop: Shop, body: bytes, headers: dict[str, str]) -> None:
    assert (await ask(shop, "POST", "/orders", body, headers)).status == 202


@pytest.mark.parametrize("quantity", [1, 1_000_000])
async def test_a_restock_within_the_limits_is_accepted(shop: Shop, quantity: int) -> None:
    sku = new_sku().ljust(64, "x")
    answer = await ask(shop, "POST", f"/inventory/{sku}/restock", raw({"quantity": quantity}), JSON)
    assert (answer.status, answer.headers["Location"]) == (202, f"/inventory/{sku}")
    assert await shop.stock(sku, lambda known: known["restocked"] == quantity)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/orders/any?wait=-1", ("query.wait", "greater_than_equal")),
        ("/orders/any?wait=31", ("query.wait", "less_than_equal")),
        ("/orders/any?wait=abc", ("query.wait", "float_parsing")),
        ("/orders/any?wait=", ("query.wait", "float_parsing")),
        ("/orders/any?wait=nan", ("query.wait", "finite_number")),
        ("/orders/any?wait=inf", ("query.wait", "finite_number")),
        ("/orders/any?wait=1&wait=2", ("query.wait", "repeated")),
        ("/orders/any/events?wait=1", ("query.wait", "extra_forbidden")),
        ("/inventory/any?limit=1", ("query.limit", "extra_forbidden")),
        ("/orders/any?wiat=1", ("query.wiat", "extra_forbidden")),
        ("/inventory?limit=0", ("query.limit", "greater_than_equal")),
        ("/inventory?limit=1001", ("query.limit", "less_than_equal")),
        ("/inventory?limit=ten", ("query.limit", "int_parsing")),
        ("/inventory?cursor=a%20b", ("query.cursor", PATTERN)),
        ("/inventory?sort=sku", ("query.sort", "extra_forbidden")),
    ],
)
async def test_a_query_at_fault_is_refused_and_the_parameter_named(
    shop: Shop, path: str, fault: Fault
) -> None:
    answer = await ask(shop, "GET", path)
    assert_problem(answer, 422)
    assert faults_in(answer) == [fault]


@pytest.mark.parametrize(
    "path", ["/nothing", "/orders/", "/orders//events", "/orders/a/b", "/health", "/orders/%2e%2e/x", "/%FF"]
)
async def test_an_unknown_path_is_a_problem_too(shop: Shop, path: str) -> None:
    answer = await ask(shop, "GET", path)
    assert_problem(answer, 404)
    assert answer.document["title"] == "Not Found"


@pytest.mark.parametrize("path", ["/", "/stats", "/graph", "/table", "/tables", "/router"])
async def test_fausts_own_pages_are_not_there(shop: Shop, path: str) -> None:
    assert_problem(await ask(shop, "GET", path), 404)
    assert_problem(await ask(shop, "GET", f"{path}/"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/orders", "POST"),
        ("PUT", "/orders", "POST"),
        ("DELETE", "/orders/any", "GET"),
        ("POST", "/orders/any", "GET"),
        ("PATCH", "/orders/any/events", "GET"),
        ("POST", "/inventory", "GET"),
        ("PUT", "/inventory/any", "GET"),
        ("GET", "/inventory/any/restock", "POST"),
        ("POST", "/health/ready", "GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(shop: Shop, method: str, path: str, allowed: str) -> None:
    answer = await ask(shop, method, path)
    assert_problem(answer, 405)
    allow = {name.strip() for name in answer.headers["Allow"].split(",")}
    assert allowed in allow
    assert method not in allow


@pytest.mark.parametrize(
    "path",
    [
        "/orders/any",
        "/orders/any/events",
        f"/orders/{uuid4()}",
        f"/orders/{UUID(int=0)}",
        "/orders/01900000-0000-7000-8000-000000000000",
        "/orders/01900000-0000-7000-8000-000000000000?wait=30",
        "/orders/%F0%9F%98%80",
        "/orders/%FF",
        "/orders/a%00b",
        "/orders/a%2Fb",
        "/inventory/never-stocked",
        "/inventory/a%20b",
        f"/inventory/{'a' * 65}",
    ],
)
async def test_what_cannot_be_an_order_or_has_no_stock_is_unknown_at_once(shop: Shop, path: str) -> None:
    started = time.monotonic()
    answer = await ask(shop, "GET", path)
    assert_problem(answer, 404)
    assert time.monotonic() - started < AT_ONCE_S


async def test_an_order_id_of_this_minute_is_waited_for_before_it_is_unknown(shop: Shop) -> None:
    started = time.monotonic()
    paths = [f"/orders/{uuid_utils.uuid7()}{rest}" for rest in ("", "?wait=1", "/events")]
    for answer in await asyncio.gather(*(ask(shop, "GET", path) for path in paths)):
        assert_problem(answer, 404)
    assert time.monotonic() - started >= PATIENCE_S
