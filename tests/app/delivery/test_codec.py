"""What travels: every message and state as JSON, pinned, and what cannot be read."""

import builtins
import json
import types
import typing
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.delivery.codec import Coder, Undecodable, decode, encode
from models import saga
from models.catalogue import MESSAGES
from models.messages import Message
from models.order import Order
from models.payment import Payment
from models.stock import Hold, StockItem
from tests.app.delivery.fakes import RECORDED, RECORDED_MS

WIRE = Path(__file__).parents[1] / "wire"


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type of the models, such as the models themselves would make."""
    inside = get_args(kind)
    match get_origin(kind):
        case typing.Annotated:
            found = values(inside[0])
        case typing.Literal:
            found = st.sampled_from(inside)
        case typing.Union | types.UnionType:
            found = st.one_of([values(one) for one in inside])
        case builtins.tuple:
            found = st.lists(values(inside[0]), min_size=1, max_size=3, unique_by=apart).map(tuple)
        case _:
            found = values_of_class(kind)
    return found


def apart(value: Any) -> Any:
    """Return what is different in each line of an order."""
    return getattr(value, "sku", value)


@cache
def values_of_class(kind: Any) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _values_of_class(kind))  # a payment holds what it was before


def _values_of_class(kind: Any) -> st.SearchStrategy[Any]:
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        found = {name: values(hints[name]) for name in kind.__struct_fields__ if name != "recorded_at"}
        return st.builds(cast("Any", kind), **found)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return PLAIN[kind]


PLAIN: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(1, 2**63 - 1),
    datetime: st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # see timezones
    type(None): st.none(),
    msgspec.UnsetType: st.just(msgspec.UNSET),
}


def sample(name: str) -> bytes:
    return (WIRE / f"{name}.v1.json").read_bytes().rstrip(b"\n")


def changed(name: str, **fields: Any) -> bytes:
    return json.dumps({**json.loads(sample(name)), **fields}).encode()


def key_of(name: str) -> bytes:
    document = json.loads(sample(name))
    return str(document["sku" if name in BY_SKU else "order_id"]).encode()


BY_SKU = {
    "INVENTORY_REQUESTED",
    "INVENTORY_RELEASE_REQUESTED",
    "INVENTORY_SALE_REQUESTED",
    "INVENTORY_RETURN_REQUESTED",
    "INVENTORY_RESTOCKED",
}


@given(message=st.one_of([values(kind) for kind in MESSAGES.values()]))
@examples(max_examples=200, deadline=None)
def test_every_message_comes_back_as_it_was_sent(message: Message) -> None:
    raw = encode(message)
    assert "recorded_at" not in json.loads(raw)
    found = decode(message.type, message.key.encode(), raw, RECORDED_MS)
    assert found == msgspec.structs.replace(message, recorded_at=RECORDED)
    assert type(found) is type(message)


@given(state=st.one_of([values(kind) for kind in (Order, StockItem, Hold, Payment)]))
@examples(max_examples=100, deadline=None)
def test_every_state_comes_back_as_it_was_saved(state: Any) -> None:
    coder = Coder(type(state))
    assert coder.decode(coder.encode(state)) == state


def test_each_message_has_its_json_pinned() -> None:
    pinned = {path.name.split(".")[0] for path in WIRE.glob("*.v1.json")}
    assert pinned == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_json_of_version_1_is_read_and_written_as_pinned(name: str) -> None:
    message = decode(name, key_of(name), sample(name), RECORDED_MS)
    assert type(message) is MESSAGES[name]
    assert encode(message) == sample(name)


def test_an_order_is_read_as_it_is_pinned() -> None:
    order: Any = decode("ORDER_CREATED", key_of("ORDER_CREATED"), sample("ORDER_CREATED"), RECORDED_MS)
    assert order.occurred_at == datetime(2024, 2, 29, 23, 59, 59, 123_456, UTC)
    assert [(line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        ("SKU-1:blue", 2, 350),
        ("SKU-2", 1, 0),
    ]
    assert (order.customer_id, order.currency, order.total) == ("customer-1", "EUR", 700)


def test_what_was_wished_with_a_key_is_on_the_wire_for_that_alone() -> None:
    raw = changed("ORDER_CREATED", fingerprint="8e03978e")
    order: Any = decode("ORDER_CREATED", key_of("ORDER_CREATED"), raw, RECORDED_MS)
    assert json.loads(encode(order)) == json.loads(raw)
    row = saga.evolve(None, order)
    assert isinstance(row, Order)
    assert Coder(Order).decode(Coder(Order).encode(row)).fingerprint == "8e03978e"
    without = msgspec.structs.replace(row, fingerprint=msgspec.UNSET)
    assert b"fingerprint" not in Coder(Order).encode(without)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_newer_producers_extra_field_is_tolerated(name: str) -> None:
    newer = changed(name, added_later={"any": ["thing", 1]})
    assert decode(name, key_of(name), newer, 0) == decode(name, key_of(name), sample(name), 0)


def test_the_log_dates_a_message_whatever_the_message_says() -> None:
    raw = changed("ORDER_TIMED_OUT", recorded_at="2001-01-01T00:00:00Z")
    found = decode("ORDER_TIMED_OUT", key_of("ORDER_TIMED_OUT"), raw, RECORDED_MS)
    assert found.at == found.recorded_at == RECORDED


def test_times_of_another_zone_are_the_same_instant() -> None:
    raw = changed("ORDER_TIMED_OUT", occurred_at="2024-03-01T02:00:00+02:00")
    found = decode("ORDER_TIMED_OUT", key_of("ORDER_TIMED_OUT"), raw, 0)
    assert found.occurred_at == RECORDED


ORDER_KEY = key_of("ORDER_CREATED")
LINE = {"sku": "a", "quantity": 1, "unit_price": 1}


@pytest.mark.parametrize(
    ("key", "raw", "why"),
    [
        (ORDER_KEY, None, "the record has no value"),
        (ORDER_KEY, b"", "truncated"),
        (ORDER_KEY, b"{", "truncated"),
        (ORDER_KEY, b"{not json}", "JSON is malformed"),
        (ORDER_KEY, sample("ORDER_CREATED") + b"}", "JSON is malformed: trailing characters"),
        (ORDER_KEY, sample("ORDER_CREATED").replace(b"EUR", b"\xff"), "can't decode byte 0xff"),
        (ORDER_KEY, b"null", "Expected `object`, got `null`"),
        (ORDER_KEY, b"[]", "Expected `object`, got `array`"),
        (ORDER_KEY, b"{}", "missing required field `event_id`"),
        (ORDER_KEY, changed("ORDER_CREATED", version=2), "Invalid enum value 2 - at `$.version`"),
        (ORDER_KEY, changed("ORDER_CREATED", version="1"), "Expected `int`, got `str` - at `$.version`"),
        (
            ORDER_KEY,
            changed("ORDER_CREATED", type="ORDER_COMPLETED"),
            "Invalid value 'ORDER_COMPLETED' - at `$.type`",
        ),
        (ORDER_KEY, changed("ORDER_CREATED", total="700"), "Expected `int`, got `str` - at `$.total`"),
        (ORDER_KEY, changed("ORDER_CREATED", total=1.5), "Expected `int`, got `float` - at `$.total`"),
        (ORDER_KEY, changed("ORDER_CREATED", total=1.0), "Expected `int`, got `float` - at `$.total`"),
        (ORDER_KEY, changed("ORDER_CREATED", total=True), "Expected `int`, got `bool` - at `$.total`"),
        (
            ORDER_KEY,
            changed("ORDER_CREATED", occurred_at="yesterday"),
            "Invalid RFC3339 encoded datetime - at `$.occurred_at`",
        ),
        (
            ORDER_KEY,
            changed("ORDER_CREATED", lines=[{"sku": "a"}]),
            "missing required field `quantity` - at `$.lines[0]`",
        ),
        (ORDER_KEY, changed("ORDER_CREATED", lines=[]), "at least one line"),
        (ORDER_KEY, changed("ORDER_CREATED", lines=[LINE, LINE]), "each a SKU of its own"),
        (
            ORDER_KEY,
            changed("ORDER_CREATED", lines=[{**LINE, "quantity": 0}]),
            "Expected `int` >= 1 - at `$.lines[0].quantity`",
        ),
        (ORDER_KEY, b'{"deep":' + b"[" * 100_000, "recursion depth"),
        (b"another", sample("ORDER_CREATED"), "key b'another' is not its message's"),
        (b"", sample("ORDER_CREATED"), "key b'' is not its message's"),
        (None, sample("ORDER_CREATED"), "key None is not its message's"),
    ],
)
def test_what_cannot_be_read_says_why(key: bytes | None, raw: bytes | None, why: str) -> None:
    with pytest.raises(Undecodable) as verdict:
        decode("ORDER_CREATED", key, raw, RECORDED_MS)
    assert why in str(verdict.value)


def test_a_state_that_cannot_be_read_says_why() -> None:
    with pytest.raises(Undecodable, match="missing required field `sku`"):
        Coder(StockItem).decode(b"{}")
