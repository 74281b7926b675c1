"""Every message there is, by its wire name: the topics follow from this list."""

from types import MappingProxyType
from typing import TYPE_CHECKING

from models import commands, events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.messages import Message

MESSAGES: "Mapping[str, type[Message]]" = MappingProxyType(
    {
        message.type: message
        for message in (
            events.OrderCreated,
            events.OrderCancelRequested,
            events.OrderTimedOut,
            events.OrderCompleted,
            events.OrderCancelled,
            events.InventoryRestocked,
            events.InventoryDeducted,
            events.InventoryInsufficient,
            events.InventoryReleased,
            events.PaymentCompleted,
            events.PaymentFailed,
            events.PaymentRefunded,
            events.NotificationEvent,
            events.AnalyticsEvent,
            commands.RequestInventory,
            commands.RequestInventoryRelease,
            commands.RequestInventorySale,
            commands.RequestPayment,
            commands.RequestPaymentRefund,
        )
    }
)
"""Wire name to class; a new event or command is added here, once, and has its topic."""
