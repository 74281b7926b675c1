"""All rules on one case, which is an order or a restock: its verdict, and what it did to the stock; pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.audit.causes import check_causes, check_ids
from app.audit.ends import check_ends
from app.audit.facts import Fact, History, Limits, Status
from app.audit.holds import Hold, check_holds, holds_of, movements_of
from app.audit.offences import Offence
from app.audit.payments import check_payments
from app.audit.stock import Movement
from models.commands import RequestPayment, RequestPaymentRefund
from models.events import InventoryRestocked, OrderRefunded, OrderRefundRequested, PaymentCompleted
from models.messages import Message


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Be what was found of one case; `status` is None for a restock, and for an order that never was.

    `shown` is what a worker must show of an order beside its status.
    `due` is when it has to be judged again though nothing more is said: something is waited for until then.
    """

    subject: str
    status: Status | None
    facts: int
    offences: tuple[Offence, ...]
    movements: tuple[Movement, ...]
    shown: dict[str, Any] = field(default_factory=dict)
    due: datetime | None = None


def judge_order(order_id: str, facts: Iterable[Fact[Message]], limits: Limits) -> Verdict:
    """Return the verdict on an order from all that the topics say of it."""
    history = History(order_id, facts)
    holds = holds_of(history)
    offences = (
        *check_causes(history),
        *check_ids(order_id, history.facts),
        *check_ends(history, limits),
        *check_holds(history, holds, limits),
        *check_payments(history, limits),
    )
    return Verdict(
        subject=order_id,
        status=history.status if history.created else None,
        facts=len(history.facts),
        offences=offences,
        movements=tuple(movements_of(holds, limits)),
        shown=history.shown,
        due=_due(history, holds, limits),
    )


def judge_restock(facts: Sequence[Fact[InventoryRestocked]], limits: Limits) -> Verdict:
    """Return the verdict on the records of one restock: they must agree, and it counts once."""
    facts = sorted(facts, key=lambda fact: (fact.at, fact.place))
    first = facts[0]
    movement = Movement(
        sku=first.message.sku,
        at=first.at - limits.skew,
        available=first.message.quantity,
        restocked=first.message.quantity,
        cause=first.message.event_id,
        place=first.place,
    )
    return Verdict(
        subject=first.message.sku,
        status=None,
        facts=len(facts),
        offences=tuple(check_ids(first.message.sku, facts)),
        movements=(movement,),
    )


def _due(history: History, holds: Sequence[Hold], limits: Limits) -> datetime | None:
    """Return the next time at which something may be overdue that is not yet."""
    times = [since + limits.deadline for since in _waits(history, holds)]
    if not all(fact.judged for fact in history.facts):
        times.append(limits.now)  # with the next look at the topics
    return min((time for time in times if time >= limits.now), default=None)


def _waits(history: History, holds: Sequence[Hold]) -> Iterator[datetime]:
    """Yield every time from which something is waited for."""
    if history.created is not None:
        yield history.created.at
    if history.ends:
        yield history.ends[0].at
        yield from (hold.deducted.at for hold in holds if hold.deducted)
    for kind in (PaymentCompleted, RequestPayment, RequestPaymentRefund, OrderRefundRequested, OrderRefunded):
        yield from (fact.at for fact in history.of(kind))
