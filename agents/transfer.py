"""Transfer: tells an external system, such as a warehouse's, which orders were sold and taken back."""

from functools import partial

from app import providers
from app.delivery.batches import Batches
from app.main import app, delivery
from app.outbound.carrying import Shipment
from app.outbound.requirements import since_of
from app.outbound.stage import Duty, Outbound
from app.outbound.webhook import Poster
from app.settings import current
from models import events
from models.transfer import label, payload
from tables.transfer import rows, state

poster = Poster(current().transfer, current())
since = since_of(current())


async def carry(shipment: Shipment) -> None:
    """Post one message."""
    await poster.post(shipment.parcel.id, payload(shipment.parcel))


outbound = Outbound(
    rows,
    Duty(label, not_before=lambda _now: since, carry=carry),
    partial(delivery.answer, "transfer"),
    current().transfer,
    providers.transfer,
)


@delivery.stage(events.OrderCompleted, events.OrderRefunded, room=outbound.room)
async def transfer(batches: Batches) -> None:
    """Record what is to be told, tell it, and record that it was told."""
    await outbound.attend(batches)


state.on_recovered(outbound.take_up)
app.on_partitions_revoked.connect(outbound.drop)
