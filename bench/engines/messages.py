"""The pipeline's events as the project's own delivery has them: typed, and checked on the way in."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from models.messages import AboutOrder, AboutStock, Message
from models.value import Value


class OrderPlaced(AboutStock, frozen=True, kw_only=True, tag="orders-in"):
    """An order of one line."""

    version: Literal[1] = 1
    order_id: str
    quantity: int
    amount: int


class FollowsOrder(AboutOrder, frozen=True, kw_only=True):
    """Be an event about an order that was placed."""

    version: Literal[1] = 1
    sku: str
    quantity: int
    amount: int


class StockDeducted(FollowsOrder, frozen=True, kw_only=True, tag="stock-deducted"):
    """The order has its stock."""


class PaymentCompleted(FollowsOrder, frozen=True, kw_only=True, tag="payment-completed"):
    """The order is paid."""


class OrderCompleted(FollowsOrder, frozen=True, kw_only=True, tag="order-completed"):
    """The order is over."""


class StockRow(Value, frozen=True):
    """Be the stock of one SKU."""

    sku: str
    available: int
    deducted: int


class OrderRow(Value, frozen=True):
    """Be the final state of one order."""

    order_id: str
    status: str
    sku: str
    quantity: int
    amount: int
    placed_at: datetime
    payment: str


MESSAGES: Mapping[str, type[Message]] = MappingProxyType(
    {kind.type: kind for kind in (OrderPlaced, StockDeducted, PaymentCompleted, OrderCompleted)}
)
"""The pipeline's catalogue: wire name to class."""
