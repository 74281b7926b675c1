"""The pipeline's events as the project's own delivery has them: typed, and checked on the way in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.messages import AboutOrder, AboutStock, Message


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(AboutStock):
    """An order of one line."""

    type: Literal["orders-in"] = "orders-in"
    version: Literal[1] = 1
    order_id: str
    quantity: int
    amount: int


@dataclass(frozen=True, kw_only=True)
class FollowsOrder(AboutOrder):
    """Be an event about an order that was placed."""

    sku: str
    quantity: int
    amount: int


@dataclass(frozen=True, kw_only=True)
class StockDeducted(FollowsOrder):
    """The order has its stock."""

    type: Literal["stock-deducted"] = "stock-deducted"
    version: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class PaymentCompleted(FollowsOrder):
    """The order is paid."""

    type: Literal["payment-completed"] = "payment-completed"
    version: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class OrderCompleted(FollowsOrder):
    """The order is over."""

    type: Literal["order-completed"] = "order-completed"
    version: Literal[1] = 1


MESSAGES: Mapping[str, type[Message]] = MappingProxyType(
    {kind.type: kind for kind in (OrderPlaced, StockDeducted, PaymentCompleted, OrderCompleted)}
)
"""The pipeline's catalogue: wire name to class."""
