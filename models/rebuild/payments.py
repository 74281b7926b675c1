"""One payment made anew: from what was asked of it, and from the answers that its events tell of."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from models.commands import RequestPayment, RequestPaymentRefund
from models.events import PaymentCompleted, PaymentFailed, PaymentRefundDelayed, PaymentRefunded
from models.messages import Message
from models.payment import (
    WITHDRAWN,
    Charged,
    Declined,
    Payment,
    PaymentInput,
    PaymentStatus,
    RefundDelayed,
    Refunded,
    evolve,
)
from models.rebuild.interleavings import Means, interleave

HEARD = (RequestPayment, RequestPaymentRefund)
SAID = (PaymentCompleted, PaymentFailed, PaymentRefundDelayed, PaymentRefunded)

Wish = RequestPayment | RequestPaymentRefund
News = PaymentCompleted | PaymentFailed | PaymentRefundDelayed | PaymentRefunded
State = tuple[PaymentStatus, str, datetime, str]
"""What one of the payment's events tells: a status, its cause, since when, and the provider's word."""


class Told(NamedTuple):
    """Be one thing that the payment took in, and when the log has it, or has what came of it."""

    at: datetime
    rank: int
    input: PaymentInput


class Story(NamedTuple):
    """Be a payment on its way, and the states it went through."""

    payment: Payment | None = None
    states: tuple[State, ...] = ()


class Rebuilt(NamedTuple):
    """Be a payment made anew; unless `explained`, no order of its inputs leads to all it said."""

    payment: Payment | None
    explained: bool


def rebuild(wishes: Sequence[Wish], news: Sequence[News]) -> Rebuilt:
    """Return the payment that was asked this and has said that; both in the log's order."""
    if len(wishes) == len(news) == 1 and (plain := _plain(wishes[0], news[0])) is not None:
        return Rebuilt(plain, explained=True)
    states = frozenset(map(_state_of, news))
    logs = _logs(wishes, news)
    story = Story()
    for told in sorted((told for log in logs for told in log), key=_rank):
        story = _step(story, told)
    if _is_told(story, states) and not _unsaid(story, states):
        return Rebuilt(story.payment, explained=True)
    found = _search(logs, lambda each: _is_told(each, states) and not _unsaid(each, states))
    found = found or _search(logs, lambda each: _is_told(each, states))
    return Rebuilt((found or story).payment, explained=found is not None)


def may_be(payment: Payment, wishes: Sequence[Wish], news: Sequence[News]) -> bool:
    """Tell whether some order of the inputs leads to this very payment and all it said.

    Which of two wishes for a refund was heeded is open until the refund is made; and since when it was
    asked for in vain, where a crash kept the payment from saying so.
    """
    states = frozenset(map(_state_of, news))

    def fits(story: Story) -> bool:
        known = story.payment
        if known is not None and known.delayed_since is None:
            known = replace(known, delayed_since=payment.delayed_since)
        return known == payment and _is_told(story, states)

    return _search(_logs(wishes, news), fits) is not None


def _search(logs: Sequence[Sequence[Told]], fits: Callable[[Story], bool]) -> Story | None:
    return interleave(logs, Story(), Means(_step, fits, _rank))


def _plain(wish: Wish, news: News) -> Payment | None:
    """Return the payment of one request and one answer, None where it is not as simple as that."""
    answer = _answer(news)
    if not isinstance(wish, RequestPayment) or answer is None or news.causation_id != wish.event_id:
        return None
    payment = evolve(evolve(None, wish), answer)
    return None if payment is None or payment.open else payment


def _logs(wishes: Sequence[Wish], news: Sequence[News]) -> list[list[Told]]:
    """Return what the payment took in, in the orders that are sure."""
    charges = [Told(wish.at, 0, wish) for wish in wishes if isinstance(wish, RequestPayment)]
    refunds = [Told(wish.at, 1, wish) for wish in wishes if isinstance(wish, RequestPaymentRefund)]
    answers: dict[str, Told] = {}
    for each in sorted(news, key=lambda each: SAID.index(type(each))):
        if (answer := _answer(each)) is not None:
            answers.setdefault(each.event_id, Told(each.at, 2, answer))
    return [charges, refunds, list(answers.values())]


def _answer(news: News) -> PaymentInput | None:
    """Return the provider's answer that the news is of, None where it was not asked."""
    match news:
        case PaymentCompleted():
            return Charged(order_id=news.order_id, reference=news.charge_id, at=news.occurred_at)
        case PaymentFailed():
            if news.reason == WITHDRAWN:
                return None
            return Declined(order_id=news.order_id, reference=news.reason, at=news.occurred_at)
        case PaymentRefundDelayed():
            return RefundDelayed(order_id=news.order_id, at=news.occurred_at)
        case PaymentRefunded():
            return Refunded(order_id=news.order_id, reference=news.refund_id, at=news.occurred_at)


def _state_of(news: News) -> State:
    match news:
        case PaymentCompleted():
            return (PaymentStatus.COMPLETED, news.causation_id, news.occurred_at, news.charge_id)
        case PaymentFailed():
            return (PaymentStatus.FAILED, news.causation_id, news.occurred_at, news.reason)
        case PaymentRefundDelayed():
            return (PaymentStatus.REFUNDING, news.causation_id, news.occurred_at, "")
        case PaymentRefunded():
            return (PaymentStatus.REFUNDED, news.causation_id, news.occurred_at, news.refund_id)


def _step(story: Story, told: Told) -> Story:
    after = evolve(story.payment, told.input)
    if after is story.payment or after is None:
        return story
    state = (after.status, after.causation_id, after.settled_at, after.reference)
    if after.status is PaymentStatus.REFUNDING and after.delayed_since is not None:
        state = (after.status, after.causation_id, after.delayed_since, "")
    return Story(after, (*story.states, state))


def _is_told(story: Story, states: frozenset[State]) -> bool:
    return states <= set(story.states)


def _unsaid(story: Story, states: frozenset[State]) -> bool:
    """Tell whether the payment has come to an end of which it has said nothing."""
    ends = {PaymentStatus.COMPLETED, PaymentStatus.FAILED, PaymentStatus.REFUNDED}
    return any(state[0] in ends and state not in states for state in story.states)


def _rank(told: Told) -> tuple[datetime, int]:
    return told.at, told.rank


def is_wish(message: Message) -> bool:
    """Tell whether a payment listens to the message."""
    return isinstance(message, HEARD)
