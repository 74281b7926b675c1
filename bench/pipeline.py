"""The reference pipeline, pure: its topics, its events, and what each stage decides, alike for every engine.

orders-in (by SKU) -> STOCK, a table by SKU -> stock-deducted (by order) -> PAYMENT, no state
-> payment-completed (by order) -> ORDER, a table by order -> order-completed.
"""

from collections.abc import Mapping
from typing import Any

ORDERS_IN = "orders-in"
STOCK_DEDUCTED = "stock-deducted"
PAYMENT_COMPLETED = "payment-completed"
ORDER_COMPLETED = "order-completed"

INPUTS = (ORDERS_IN, STOCK_DEDUCTED, PAYMENT_COMPLETED)
TOPICS = (*INPUTS, ORDER_COMPLETED)
STEPS = {name: step for step, name in enumerate(TOPICS)}

PARTITIONS = 8
SKUS = 1_000
FIRST_STOCK = 1_000_000_000
"""What a SKU has when it is first asked for: nobody is ever refused, so every order goes the whole way."""

Event = dict[str, Any]
"""An event or a row as JSON has it."""


def order_id(number: int) -> str:
    """Return the id of the order with this number: a UUID without its dashes."""
    return f"019ab0de000070008000{number:012x}"


def number_of(an_order_id: str) -> int:
    """Return the number of the order with this id."""
    return int(an_order_id[-12:], 16)


def event_id(an_order_id: str, name: str) -> str:
    """Return the id of the one event of this name about the order: a repeat has the same."""
    return f"{an_order_id}-{STEPS[name]}"


def order(number: int, occurred_at: str) -> Event:
    """Return the order with this number, an event of one line."""
    own_id = order_id(number)
    return {
        "event_id": event_id(own_id, ORDERS_IN),
        "type": ORDERS_IN,
        "version": 1,
        "occurred_at": occurred_at,
        "correlation_id": own_id,
        "causation_id": own_id,
        "order_id": own_id,
        "sku": f"SKU-{number % SKUS:05}",
        "quantity": 1 + number % 3,
        "amount": 1_000 + number % 9_000,
    }


def first_row(sku: str) -> Event:
    """Return the row of a SKU that nobody has asked for yet."""
    return {"sku": sku, "available": FIRST_STOCK, "deducted": 0}


def deduct(row: Mapping[str, Any] | None, event: Event) -> tuple[Event, Event]:
    """STOCK: return the SKU's row after the order, and the event that says so."""
    before = row or first_row(event["sku"])
    quantity = event["quantity"]
    after = {
        "sku": before["sku"],
        "available": before["available"] - quantity,
        "deducted": before["deducted"] + quantity,
    }
    return after, _follow(event, STOCK_DEDUCTED)


def pay(event: Event) -> Event:
    """PAYMENT: return the event that the order is paid."""
    return _follow(event, PAYMENT_COMPLETED)


def complete(event: Event) -> tuple[Event, Event]:
    """ORDER: return the order's final state, and the event that ends it."""
    state = {
        "order_id": event["order_id"],
        "status": "COMPLETED",
        "sku": event["sku"],
        "quantity": event["quantity"],
        "amount": event["amount"],
        "placed_at": event["occurred_at"],
        "payment": event["event_id"],
    }
    return state, _follow(event, ORDER_COMPLETED)


def _follow(cause: Event, name: str) -> Event:
    """Return an event about the same order: the id derived from what it is about, the cause named."""
    return {
        "event_id": event_id(cause["order_id"], name),
        "type": name,
        "version": 1,
        "occurred_at": cause["occurred_at"],
        "correlation_id": cause["correlation_id"],
        "causation_id": cause["event_id"],
        "order_id": cause["order_id"],
        "sku": cause["sku"],
        "quantity": cause["quantity"],
        "amount": cause["amount"],
    }
