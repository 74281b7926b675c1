"""Notifications: tells customers how their orders ended, each end once."""

from datetime import datetime, timedelta
from functools import partial

from app import providers
from app.delivery.batches import Batches
from app.main import app, delivery
from app.outbound.carrying import Shipment
from app.outbound.channels import Notice, channel_of
from app.outbound.stage import Duty, Outbound
from app.outbound.templates import Templates
from app.settings import current
from models import events
from models.notification import label, words
from tables.notifications import rows, state

settings = current().notifications
templates = Templates(settings.templates)
channel = channel_of(current())
max_age = timedelta(milliseconds=settings.max_age_ms)


async def carry(shipment: Shipment) -> None:
    """Tell one customer."""
    event = shipment.parcel.event
    assert isinstance(event, events.NotificationEvent), "customers are told of nothing else"
    said = words(event)
    to = settings.to.replace("{customer_id}", event.customer_id)
    await channel(Notice(shipment.parcel, event, to, templates.render(shipment.parcel.kind, said)))


def not_before(now: datetime) -> datetime:
    """Return since when an order must have ended for its customer to be told."""
    return now - max_age


outbound = Outbound(
    rows,
    Duty(label, not_before, carry),
    partial(delivery.answer, "notifications"),
    settings,
    providers.notifications,
)


@delivery.stage(events.NotificationEvent, room=outbound.room)
async def notifications(batches: Batches) -> None:
    """Record what is to be told, tell it, and record that it was told."""
    await outbound.attend(batches)


state.on_recovered(outbound.take_up)
app.on_partitions_revoked.connect(outbound.drop)
