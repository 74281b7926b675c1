"""Rule 3: an order is charged at most once, and a cancelled one gets all of it back; pure."""

from collections.abc import Iterator, Sequence

from app.audit.facts import Fact, History, Limits, Place, Status
from app.audit.offences import Kind, Offence
from models.commands import RequestPayment
from models.events import OrderCreated, PaymentCompleted, PaymentFailed, PaymentRefunded

Charge = Fact[PaymentCompleted]
Refund = Fact[PaymentRefunded]
Money = PaymentCompleted | PaymentRefunded


def check_payments(history: History, limits: Limits) -> Iterator[Offence]:
    """Yield what is wrong with the money: the payment stage's events say what was really moved."""
    charges, refunds = history.of(PaymentCompleted), history.of(PaymentRefunded)
    yield from _twice(history, charges, refunds)
    yield from _amounts(history, history.created, charges, refunds)
    if refunds and refunds[0].judged and not charges:
        yield Offence(
            kind=Kind.REFUNDED_UNCHARGED,
            subject=history.order_id,
            expected="no refund, as nothing was charged",
            found=_money(refunds[0].message),
            place=refunds[0].place,
        )
    if history.status is Status.COMPLETED:
        yield from _of_completed(history, charges, refunds)
    elif history.status is Status.CANCELLED:
        yield from _of_cancelled(history, charges, refunds, limits)


def _twice(history: History, charges: Sequence[Charge], refunds: Sequence[Refund]) -> Iterator[Offence]:
    if len({(each.message.event_id, each.message.charge_id) for each in charges}) > 1:
        yield Offence(
            kind=Kind.CHARGED_TWICE,
            subject=history.order_id,
            expected="at most one charge",
            found=", ".join(f"{each.message.charge_id} of {_money(each.message)}" for each in charges),
            place=charges[1].place,
        )
    if len({(each.message.event_id, each.message.refund_id) for each in refunds}) > 1:
        yield Offence(
            kind=Kind.REFUNDED_TWICE,
            subject=history.order_id,
            expected="at most one refund",
            found=", ".join(f"{each.message.refund_id} of {_money(each.message)}" for each in refunds),
            place=refunds[1].place,
        )


def _amounts(
    history: History,
    created: Fact[OrderCreated] | None,
    charges: Sequence[Charge],
    refunds: Sequence[Refund],
) -> Iterator[Offence]:
    """Compare every sum with the order's total."""
    if created is None:
        return
    order = created.message
    moved: list[tuple[Money, Place]] = [(each.message, each.place) for each in charges]
    moved += [(each.message, each.place) for each in refunds]
    for money, place in moved:
        if (money.amount, money.currency) != (order.total, order.currency):
            yield Offence(
                kind=Kind.WRONG_AMOUNT,
                subject=history.order_id,
                expected=f"{order.total} {order.currency}",
                found=f"{money.type} of {_money(money)}",
                place=place,
            )


def _of_completed(
    history: History, charges: Sequence[Charge], refunds: Sequence[Refund]
) -> Iterator[Offence]:
    end = history.ends[0]
    if not charges and end.judged:
        yield Offence(
            kind=Kind.COMPLETED_UNCHARGED,
            subject=history.order_id,
            expected="one charge",
            found="none",
            place=end.place,
        )
    if refunds:
        yield Offence(
            kind=Kind.COMPLETED_REFUNDED,
            subject=history.order_id,
            expected="no refund of a completed order",
            found=_money(refunds[0].message),
            place=refunds[0].place,
        )


def _of_cancelled(
    history: History, charges: Sequence[Charge], refunds: Sequence[Refund], limits: Limits
) -> Iterator[Offence]:
    """Give a late charge its time to be refunded, and a late answer its time to come."""
    end, asked = history.ends[0], history.of(RequestPayment)
    if charges and not refunds and limits.is_over(max(end.at, charges[0].at)):
        yield Offence(
            kind=Kind.CANCELLED_CHARGED,
            subject=history.order_id,
            expected="a refund, as the order was cancelled",
            found=f"{_money(charges[0].message)} still charged",
            place=charges[0].place,
        )
    unanswered = asked and not charges and not history.of(PaymentFailed)
    if unanswered and limits.is_over(max(end.at, asked[0].at)):
        yield Offence(
            kind=Kind.CHARGE_UNKNOWN,
            subject=history.order_id,
            expected=f"{PaymentCompleted.type} or {PaymentFailed.type}",
            found="neither: whether the customer was charged is not known",
            place=asked[0].place,
        )


def _money(message: Money) -> str:
    return f"{message.amount} {message.currency}"
