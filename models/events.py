"""What has happened, in the past tense: the facts that the topics keep for ever."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from models.messages import AboutOrder, AboutStock, Quantity
from models.value import Value


class OrderLine(Value, frozen=True, kw_only=True):
    """Be one line of an order as the customer placed it; `unit_price` in minor units."""

    sku: str
    quantity: Quantity
    unit_price: Annotated[int, Meta(ge=0)]


class OrderCreated(AboutOrder, frozen=True, kw_only=True, tag="ORDER_CREATED"):
    """An order was accepted over HTTP; `total` in minor units of `currency`.

    `fingerprint` tells what was wished with an idempotency key; without one it is absent.
    """

    version: Literal[1] = 1
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int
    payment_token: str
    fingerprint: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse an order that names a SKU twice: each line has one home, which answers once.

        Raises:
            ValueError: two lines have the same SKU, or there is none.
        """
        if not self.lines or len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("an order has at least one line, and each a SKU of its own")


class OrderCancelRequested(AboutOrder, frozen=True, kw_only=True, tag="ORDER_CANCEL_REQUESTED"):
    """The customer asked to cancel the order."""

    version: Literal[1] = 1


class OrderRefundRequested(AboutOrder, frozen=True, kw_only=True, tag="ORDER_REFUND_REQUESTED"):
    """The customer asked to have the completed order taken back."""

    version: Literal[1] = 1


class OrderTimedOut(AboutOrder, frozen=True, kw_only=True, tag="ORDER_TIMED_OUT"):
    """The order waited longer than allowed in the status that the event `entered_by` led it into."""

    version: Literal[1] = 1
    entered_by: str


class OrderCompleted(AboutOrder, frozen=True, kw_only=True, tag="ORDER_COMPLETED"):
    """The order is paid and its stock is its own: hand it over; `total` in minor units."""

    version: Literal[1] = 1
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int


class OrderCancelled(AboutOrder, frozen=True, kw_only=True, tag="ORDER_CANCELLED"):
    """The order ended without a sale, and what it held is given back."""

    version: Literal[1] = 1
    customer_id: str
    reason: str


class OrderRefunded(AboutOrder, frozen=True, kw_only=True, tag="ORDER_REFUNDED"):
    """The sale was taken back: `total` minor units are given back, and the stock is there to sell again."""

    version: Literal[1] = 1
    customer_id: str
    currency: str
    total: int


class InventoryRestocked(AboutStock, frozen=True, kw_only=True, tag="INVENTORY_RESTOCKED"):
    """Goods arrived: `quantity` more of the SKU are there to sell."""

    version: Literal[1] = 1
    quantity: Quantity


class InventoryDeducted(AboutOrder, frozen=True, kw_only=True, tag="INVENTORY_DEDUCTED"):
    """The stock for one line is reserved for the order."""

    version: Literal[1] = 1
    sku: str
    quantity: Quantity


class InventoryInsufficient(AboutOrder, frozen=True, kw_only=True, tag="INVENTORY_INSUFFICIENT"):
    """There is not enough stock for one line."""

    version: Literal[1] = 1
    sku: str
    quantity: Quantity


class InventoryReleased(AboutOrder, frozen=True, kw_only=True, tag="INVENTORY_RELEASED"):
    """The order holds no stock of this line any more, and never will."""

    version: Literal[1] = 1
    sku: str
    quantity: Quantity


class InventoryReturned(AboutOrder, frozen=True, kw_only=True, tag="INVENTORY_RETURNED"):
    """The stock of one line of a completed order is there to sell again."""

    version: Literal[1] = 1
    sku: str
    quantity: Quantity


class PaymentCompleted(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_COMPLETED"):
    """The customer was charged `amount` minor units, once."""

    version: Literal[1] = 1
    amount: int
    currency: str
    charge_id: str


class PaymentFailed(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_FAILED"):
    """The provider declined: the customer was not charged and will not be."""

    version: Literal[1] = 1
    reason: str


class PaymentRefundDelayed(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_REFUND_DELAYED"):
    """The charge has not been given back so far; the provider is asked for it again and again."""

    version: Literal[1] = 1


class PaymentRefunded(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_REFUNDED"):
    """The charge was given back in full."""

    version: Literal[1] = 1
    amount: int
    currency: str
    refund_id: str


class NotificationEvent(AboutOrder, frozen=True, kw_only=True, tag="NOTIFICATION_EVENTS"):
    """The customer is to hear how the order ended."""

    version: Literal[1] = 1
    customer_id: str
    status: str
    reason: str | None


class UnitsOf(Value, frozen=True, kw_only=True):
    """Be how many units of a SKU an order had."""

    sku: str
    quantity: Quantity


class AnalyticsEvent(AboutOrder, frozen=True, kw_only=True, tag="ANALYTICS_EVENTS"):
    """One settled order for the statistics; `total` in minor units, times in milliseconds.

    `reserved_in_ms` is from its creation until all its stock was reserved, `paid_in_ms` from there until the
    provider's answer was known, None where it did not come so far; `settled_in_ms` is all of it.
    """

    version: Literal[1] = 1
    status: str
    reason: str | None
    currency: str
    total: int
    units: int
    settled_in_ms: int
    lines: tuple[UnitsOf, ...] = ()
    reserved_in_ms: int | None = None
    paid_in_ms: int | None = None
