"""What one stage asks of another, in the imperative; on the wire `..._REQUESTED`."""

from typing import Literal

from models.messages import AboutOrder, AboutStock, Quantity


class RequestInventory(AboutStock, frozen=True, kw_only=True, tag="INVENTORY_REQUESTED"):
    """Reserve `quantity` of the SKU for the order."""

    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


class RequestInventoryRelease(AboutStock, frozen=True, kw_only=True, tag="INVENTORY_RELEASE_REQUESTED"):
    """Give back what the order holds of the SKU, now or whenever its request arrives."""

    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


class RequestInventorySale(AboutStock, frozen=True, kw_only=True, tag="INVENTORY_SALE_REQUESTED"):
    """Count what the order holds of the SKU as sold, and forget the reservation."""

    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


class RequestInventoryReturn(AboutStock, frozen=True, kw_only=True, tag="INVENTORY_RETURN_REQUESTED"):
    """Take back what the order has of the SKU, be it counted as sold already or not."""

    version: Literal[1] = 1
    order_id: str
    quantity: Quantity


class RequestPayment(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_REQUESTED"):
    """Charge `amount` minor units to the token; the order id is the idempotency key."""

    version: Literal[1] = 1
    amount: int
    currency: str
    payment_token: str


class RequestPaymentRefund(AboutOrder, frozen=True, kw_only=True, tag="PAYMENT_REFUND_REQUESTED"):
    """Give the charge of this order back, or make none where it has not been asked for yet."""

    version: Literal[1] = 1
    amount: int
    currency: str
