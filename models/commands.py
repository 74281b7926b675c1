"""What one stage asks of another, in the imperative; on the wire `..._REQUESTED`."""

from dataclasses import dataclass
from typing import Literal

from models.messages import AboutOrder, AboutStock, Quantity


@dataclass(frozen=True, kw_only=True)
class RequestInventory(AboutStock):
    """Reserve `quantity` of the SKU for the order."""

    type: Literal["INVENTORY_REQUESTED"] = "INVENTORY_REQUESTED"
    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class RequestInventoryRelease(AboutStock):
    """Give back what the order holds of the SKU, now or whenever its request arrives."""

    type: Literal["INVENTORY_RELEASE_REQUESTED"] = "INVENTORY_RELEASE_REQUESTED"
    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class RequestInventorySale(AboutStock):
    """Count what the order holds of the SKU as sold, and forget the reservation."""

    type: Literal["INVENTORY_SALE_REQUESTED"] = "INVENTORY_SALE_REQUESTED"
    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class RequestPayment(AboutOrder):
    """Charge `amount` minor units to the token; the order id is the idempotency key."""

    type: Literal["PAYMENT_REQUESTED"] = "PAYMENT_REQUESTED"
    version: Literal[1] = 1
    amount: int
    currency: str
    payment_token: str


@dataclass(frozen=True, kw_only=True)
class RequestPaymentRefund(AboutOrder):
    """Give the charge of this order back."""

    type: Literal["PAYMENT_REFUND_REQUESTED"] = "PAYMENT_REFUND_REQUESTED"
    version: Literal[1] = 1
    amount: int
    currency: str
