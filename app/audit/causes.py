"""Rule 4: every event has a cause that is in the topics too, and an id of its own; pure."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from app.audit.facts import Fact, History, content
from app.audit.offences import Kind, Offence
from models.commands import (
    RequestInventory,
    RequestInventoryRelease,
    RequestInventoryReturn,
    RequestPayment,
    RequestPaymentRefund,
)
from models.events import (
    InventoryDeducted,
    InventoryInsufficient,
    InventoryReleased,
    InventoryRestocked,
    InventoryReturned,
    OrderCancelRequested,
    OrderCreated,
    OrderRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefundDelayed,
    PaymentRefunded,
)
from models.messages import Message

FROM_OUTSIDE = (OrderCreated, InventoryRestocked, OrderCancelRequested, OrderRefundRequested)
"""What customers, suppliers and timers say: the first of its chain.

A timer may also name the event by which the order came to where it waited: its word then is one more link.
"""

ANSWERS: Mapping[type[Message], tuple[type[Message], ...]] = MappingProxyType(
    {
        InventoryDeducted: (RequestInventory,),
        InventoryInsufficient: (RequestInventory,),
        InventoryReleased: (RequestInventoryRelease,),
        RequestInventoryReturn: (OrderRefundRequested,),
        InventoryReturned: (RequestInventoryReturn,),
        PaymentCompleted: (RequestPayment,),
        PaymentFailed: (RequestPayment, RequestPaymentRefund),
        PaymentRefundDelayed: (RequestPaymentRefund,),
        PaymentRefunded: (RequestPaymentRefund,),
    }
)
"""What a stage says only when it is asked, and by what."""


def check_causes(history: History) -> Iterator[Offence]:
    """Yield each event that nothing has caused, and each that belongs to another conversation."""
    created = history.created
    if created is None:
        yield from _orphans(history)
        return
    by_id = {fact.message.event_id: fact for fact in history.facts}
    for fact in history.facts:
        if fact.message.correlation_id != created.message.correlation_id:
            yield Offence(
                kind=Kind.OTHER_CORRELATION,
                subject=history.order_id,
                expected=f"correlation {created.message.correlation_id}",
                found=f"{fact.message.type} with {fact.message.correlation_id}",
                place=fact.place,
            )
        if fact.judged and (fault := _fault(fact, by_id)):
            yield Offence(
                kind=Kind.NO_CAUSE,
                subject=history.order_id,
                expected=_wanted(fact.message),
                found=fault,
                place=fact.place,
            )


def check_ids(subject: str, facts: Iterable[Fact[Message]]) -> Iterator[Offence]:
    """Yield each event whose id stands for other content too; repeats of the same are no offence."""
    first: dict[str, Fact[Message]] = {}
    for fact in facts:
        known = first.setdefault(fact.message.event_id, fact)
        if content(known.message) != content(fact.message):
            yield Offence(
                kind=Kind.SAME_ID,
                subject=subject,
                expected=f"{fact.message.event_id} as at {known.place}",
                found=_difference(known.message, fact.message),
                place=fact.place,
            )


def _orphans(history: History) -> Iterator[Offence]:
    strays = [fact for fact in history.facts if not isinstance(fact.message, FROM_OUTSIDE)]
    if strays and strays[0].judged:
        yield Offence(
            kind=Kind.NO_ORDER,
            subject=history.order_id,
            expected=OrderCreated.type,
            found=", ".join(sorted({fact.message.type for fact in strays})),
            place=strays[0].place,
        )


def _fault(fact: Fact[Message], by_id: Mapping[str, Fact[Message]]) -> str | None:
    """Return what is wrong with the chain from this fact to the outside, as far as its own link goes."""
    message = fact.message
    if isinstance(message, FROM_OUTSIDE):
        return None
    cause = by_id.get(message.causation_id)
    if cause is None:
        return f"{message.causation_id} is not in the topics"
    wanted = ANSWERS.get(type(message))
    if wanted is not None and not isinstance(cause.message, wanted):
        return cause.message.type
    return "it goes round in a circle" if _is_circular(message, by_id) else None


def _wanted(message: Message) -> str:
    asked = " or ".join(kind.type for kind in ANSWERS.get(type(message), ()))
    return f"the {asked or 'event'} that led to {message.type}"


def _is_circular(message: Message, by_id: Mapping[str, Fact[Message]]) -> bool:
    seen: set[str] = set()
    cause: Fact[Message] | None = by_id.get(message.causation_id)
    while cause is not None and not isinstance(cause.message, FROM_OUTSIDE):
        if cause.message.event_id in seen:
            return True
        seen.add(cause.message.event_id)
        cause = by_id.get(cause.message.causation_id)
    return False  # it leads outside, or to a link that is missing: that is the fault of another


def _difference(one: Message, other: Message) -> str:
    """Return what the second says otherwise."""
    if one.type != other.type:
        return other.type
    fields = (name for name in other.__struct_fields__ if name != "recorded_at")
    differing = [
        f"{name} {getattr(other, name)!r}, not {getattr(one, name)!r}"
        for name in fields
        if getattr(one, name) != getattr(other, name)
    ]
    return f"{other.type}: {'; '.join(differing)}"
