"""Rule 3: an order is charged at most once, and a cancelled or refunded one gets all of it back; pure."""

from collections.abc import Iterator, Sequence

from app.audit.facts import Fact, History, Limits, Place, Status
from app.audit.offences import Kind, Offence
from models.commands import RequestPayment, RequestPaymentRefund
from models.events import (
    OrderCancelled,
    OrderCreated,
    OrderRefunded,
    OrderRefundRequested,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
)
from models.messages import Message

CUSTOMER_REQUEST = "CUSTOMER_REQUEST"
"""The reason in an ORDER_CANCELLED that its customer wished for."""

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
    if history.status is Status.CANCELLED:
        yield from _of_cancelled(history, charges, refunds, limits)
    elif history.status is not Status.OPEN:
        yield from _of_completed(history, charges, refunds, limits)


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
    moved: list[tuple[Money | OrderRefunded, Place]] = [(each.message, each.place) for each in charges]
    moved += [(each.message, each.place) for each in refunds]
    moved += [(each.message, each.place) for each in history.of(OrderRefunded)]
    for money, place in moved:
        if _sum(money) != (order.total, order.currency):
            yield Offence(
                kind=Kind.WRONG_AMOUNT,
                subject=history.order_id,
                expected=f"{order.total} {order.currency}",
                found=f"{money.type} of {_money(money)}",
                place=place,
            )


def _of_completed(
    history: History, charges: Sequence[Charge], refunds: Sequence[Refund], limits: Limits
) -> Iterator[Offence]:
    done = history.refunded
    end = history.ends[0] if history.ends else done
    if not charges and end is not None and end.judged:
        yield Offence(
            kind=Kind.COMPLETED_UNCHARGED,
            subject=history.order_id,
            expected="one charge",
            found="none",
            place=end.place,
        )
    if refunds and history.lacks_wish(refunds[0], limits):
        yield Offence(
            kind=Kind.COMPLETED_REFUNDED,
            subject=history.order_id,
            expected=f"no refund of a completed order before {OrderRefundRequested.type}",
            found=_money(refunds[0].message),
            place=refunds[0].place,
        )
    if done is None or not done.judged or not charges:
        return
    if not refunds or refunds[0].at > done.at + limits.skew:
        yield Offence(
            kind=Kind.REFUNDED_CHARGED,
            subject=history.order_id,
            expected=f"{PaymentRefunded.type} before {done.message.type}",
            found=f"{_money(charges[0].message)} still charged{history.retried}",
            place=done.place,
        )


def _of_cancelled(
    history: History, charges: Sequence[Charge], refunds: Sequence[Refund], limits: Limits
) -> Iterator[Offence]:
    """Give a late charge its time to be refunded, and a late answer its time to come.

    But who asked to cancel is told that it is done only when the money is back, and no more is taken.
    """
    end, asked = history.ends[0], _first_asked(history)
    if _is_wished(end.message) and charges and charges[0].judged and end.judged:
        if not refunds or refunds[0].at > end.at + limits.skew:
            yield Offence(
                kind=Kind.CANCELLED_CHARGED,
                subject=history.order_id,
                expected=f"{PaymentRefunded.type} before {end.message.type}, as the customer cancelled",
                found=f"{_money(charges[0].message)} still charged{history.retried}",
                place=end.place,
            )
    elif charges and not refunds and limits.is_over(max(end.at, charges[0].at)):
        yield Offence(
            kind=Kind.CANCELLED_CHARGED,
            subject=history.order_id,
            expected="a refund, as the order was cancelled",
            found=f"{_money(charges[0].message)} still charged{history.retried}",
            place=charges[0].place,
        )
    unanswered = not charges and not history.of(PaymentFailed)
    if asked and unanswered and limits.is_over(max(end.at, asked.at)):
        yield Offence(
            kind=Kind.CHARGE_UNKNOWN,
            subject=history.order_id,
            expected=f"{PaymentCompleted.type} or {PaymentFailed.type}",
            found="neither: whether the customer was charged is not known",
            place=asked.place,
        )


def _is_wished(end: Message) -> bool:
    return isinstance(end, OrderCancelled) and end.reason == CUSTOMER_REQUEST


def _first_asked(history: History) -> Fact[Message] | None:
    """Return what the payment stage has to answer: a charge may be called back before it is asked for."""
    asked: list[Fact[Message]] = [*history.of(RequestPayment), *history.of(RequestPaymentRefund)]
    return min(asked, key=lambda fact: fact.at, default=None)


def _money(message: Money | OrderRefunded) -> str:
    amount, currency = _sum(message)
    return f"{amount} {currency}"


def _sum(message: Money | OrderRefunded) -> tuple[int, str]:
    amount = message.total if isinstance(message, OrderRefunded) else message.amount
    return amount, message.currency
