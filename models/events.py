"""What has happened, in the past tense: the facts that the topics keep for ever."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from models.messages import AboutOrder, AboutStock, Quantity


@dataclass(frozen=True, kw_only=True)
class OrderLine:
    """Be one line of an order as the customer placed it; `unit_price` in minor units."""

    sku: str
    quantity: Quantity
    unit_price: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class OrderCreated(AboutOrder):
    """An order was accepted over HTTP; `total` in minor units of `currency`."""

    type: Literal["ORDER_CREATED"] = "ORDER_CREATED"
    version: Literal[1] = 1
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int
    payment_token: str

    def __post_init__(self) -> None:
        """Refuse an order that names a SKU twice: each line has one home, which answers once.

        Raises:
            ValueError: two lines have the same SKU, or there is none.
        """
        if not self.lines or len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("an order has at least one line, and each a SKU of its own")


@dataclass(frozen=True, kw_only=True)
class OrderCancelRequested(AboutOrder):
    """The customer asked to cancel the order."""

    type: Literal["ORDER_CANCEL_REQUESTED"] = "ORDER_CANCEL_REQUESTED"
    version: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class OrderTimedOut(AboutOrder):
    """The order waited longer than its status allows."""

    type: Literal["ORDER_TIMED_OUT"] = "ORDER_TIMED_OUT"
    version: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class OrderCompleted(AboutOrder):
    """The order is paid and its stock is its own: hand it over; `total` in minor units."""

    type: Literal["ORDER_COMPLETED"] = "ORDER_COMPLETED"
    version: Literal[1] = 1
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(AboutOrder):
    """The order ended without a sale, and what it held is given back."""

    type: Literal["ORDER_CANCELLED"] = "ORDER_CANCELLED"
    version: Literal[1] = 1
    customer_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class InventoryRestocked(AboutStock):
    """Goods arrived: `quantity` more of the SKU are there to sell."""

    type: Literal["INVENTORY_RESTOCKED"] = "INVENTORY_RESTOCKED"
    version: Literal[1] = 1
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class InventoryDeducted(AboutOrder):
    """The stock for one line is reserved for the order."""

    type: Literal["INVENTORY_DEDUCTED"] = "INVENTORY_DEDUCTED"
    version: Literal[1] = 1
    sku: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class InventoryInsufficient(AboutOrder):
    """There is not enough stock for one line."""

    type: Literal["INVENTORY_INSUFFICIENT"] = "INVENTORY_INSUFFICIENT"
    version: Literal[1] = 1
    sku: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class InventoryReleased(AboutOrder):
    """The order holds no stock of this line any more, and never will."""

    type: Literal["INVENTORY_RELEASED"] = "INVENTORY_RELEASED"
    version: Literal[1] = 1
    sku: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class PaymentCompleted(AboutOrder):
    """The customer was charged `amount` minor units, once."""

    type: Literal["PAYMENT_COMPLETED"] = "PAYMENT_COMPLETED"
    version: Literal[1] = 1
    amount: int
    currency: str
    charge_id: str


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(AboutOrder):
    """The provider declined: the customer was not charged and will not be."""

    type: Literal["PAYMENT_FAILED"] = "PAYMENT_FAILED"
    version: Literal[1] = 1
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(AboutOrder):
    """The charge was given back in full."""

    type: Literal["PAYMENT_REFUNDED"] = "PAYMENT_REFUNDED"
    version: Literal[1] = 1
    amount: int
    currency: str
    refund_id: str


@dataclass(frozen=True, kw_only=True)
class NotificationEvent(AboutOrder):
    """The customer is to hear how the order ended."""

    type: Literal["NOTIFICATION_EVENTS"] = "NOTIFICATION_EVENTS"
    version: Literal[1] = 1
    customer_id: str
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AnalyticsEvent(AboutOrder):
    """One settled order for the statistics; `total` in minor units, `settled_in_ms` from its creation."""

    type: Literal["ANALYTICS_EVENTS"] = "ANALYTICS_EVENTS"
    version: Literal[1] = 1
    status: str
    reason: str | None
    currency: str
    total: int
    units: int
    settled_in_ms: int
