from datetime import UTC, datetime, timedelta
from typing import Any

from app.delivery.batch import Batch
from models.commands import RequestInventory, RequestInventoryReturn, RequestInventorySale
from models.events import InventoryRestocked
from models.idempotency import DAY, needed
from models.messages import derive_id
from models.stock import FORGET_AFTER, REMEMBER_RESTOCKS, StockMessage, keep
from tables.inventory import load_stock, remember_restocks, save_stock

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG = FORGET_AFTER + timedelta(seconds=5)


def message(kind: Any, at: timedelta, **about: Any) -> Any:
    """Return a message about the SKU, recorded so long after the start."""
    event_id = derive_id(kind.type, *map(str, about.values()))
    envelope = {"event_id": event_id, "correlation_id": "c", "causation_id": "c"}
    return kind(**envelope, occurred_at=START, recorded_at=START + at, sku="mug", **about)


def process(batch: Batch, *messages: StockMessage) -> None:
    """Take the messages into the batch, as the inventory agent does."""
    for each in messages:
        before = load_stock(batch, 0, each)
        after, _ = keep(before, each)
        save_stock(batch, 0, before, after)


def test_a_sale_that_is_read_long_after_its_time_is_counted_and_its_row_forgotten_at_once(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("app.delivery.state.State.get", lambda *_: None)
    batch = Batch(())
    process(
        batch,
        message(InventoryRestocked, timedelta(), quantity=5),
        message(RequestInventory, timedelta(), order_id="early", quantity=1),
        message(RequestInventory, LONG, order_id="late", quantity=1),
        message(RequestInventorySale, timedelta(seconds=1), order_id="early", quantity=1),
    )
    item = load_stock(batch, 0, message(RequestInventorySale, LONG, order_id="early", quantity=1)).item
    assert item is not None
    assert (item.available, item.reserved, item.sold) == (3, 1, 1)
    (records,) = batch.rows().values()
    keys = [record["key"] for record in records]
    forgotten = [record["key"] for record in records if record["value"] is None]
    assert forgotten == [b"hold/mug/early"]
    assert keys.index(b"item/mug") < len(keys) - 1 - keys[::-1].index(b"hold/mug/early")


def test_a_line_that_is_returned_before_the_mark_of_its_sale_is_forgotten_keeps_its_row(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("app.delivery.state.State.get", lambda *_: None)
    batch = Batch(())
    process(
        batch,
        message(InventoryRestocked, timedelta(), quantity=5),
        message(RequestInventory, timedelta(), order_id="back", quantity=1),
        message(RequestInventory, timedelta(), order_id="sold", quantity=1),
        message(RequestInventorySale, timedelta(seconds=1), order_id="back", quantity=1),
        message(RequestInventorySale, timedelta(seconds=1), order_id="sold", quantity=1),
        message(RequestInventoryReturn, timedelta(seconds=2), order_id="back", quantity=1),
        message(RequestInventory, LONG, order_id="late", quantity=1),
    )
    (records,) = batch.rows().values()
    assert [record["key"] for record in records if record["value"] is None] == [b"hold/mug/sold"]


def test_a_line_that_is_returned_after_the_mark_of_its_sale_was_forgotten_keeps_its_row_also_within_a_batch(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("app.delivery.state.State.get", lambda *_: None)
    batch = Batch(())
    process(
        batch,
        message(InventoryRestocked, timedelta(), quantity=5),
        message(RequestInventory, timedelta(), order_id="back", quantity=1),
        message(RequestInventorySale, timedelta(seconds=1), order_id="back", quantity=1),
        message(RequestInventory, LONG, order_id="late", quantity=1),
        message(RequestInventoryReturn, LONG, order_id="back", quantity=1),
    )
    (records,) = batch.rows().values()
    rows = {record["key"]: record["value"] for record in records}
    assert b'"RETURNED"' in (rows[b"hold/mug/back"] or b"")


def test_a_restock_is_remembered_for_as_long_as_its_key_needs_it_and_forgotten_then(monkeypatch: Any) -> None:
    monkeypatch.setattr("app.delivery.state.State.get", lambda *_: None)
    assert remember_restocks == needed(DAY) > REMEMBER_RESTOCKS, "by default a key counts for a day"
    first = message(InventoryRestocked, timedelta(), quantity=5)
    batch = Batch(())
    process(batch, first, message(InventoryRestocked, remember_restocks, quantity=6))
    assert load_stock(batch, 0, first).hold is not None
    process(batch, message(InventoryRestocked, remember_restocks + LONG, quantity=7))
    assert load_stock(batch, 0, first).hold is None
