from itertools import permutations
from typing import cast

import pytest
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from models.events import OrderLine
from models.messages import Message
from models.order import CancelReason, LineStatus, Order, OrderStatus, PaymentKnown
from models.saga import OrderEvent
from tests.models.scenario import (
    Outcome,
    cancel_requested,
    created,
    declined,
    deducted,
    insufficient,
    moment,
    orders,
    overdue,
    paid,
    refund_delayed,
    refund_requested,
    refunded,
    released,
    returned,
    run_saga,
    say,
    timed_out,
)

PENDING = OrderStatus.PENDING
PAYING = OrderStatus.INVENTORY_DEDUCTED
COMPLETED = OrderStatus.COMPLETED
CANCELLING = OrderStatus.CANCELLING
CANCELLED = OrderStatus.CANCELLED
REFUNDING = OrderStatus.REFUNDING
REFUNDED = OrderStatus.REFUNDED

REFUND = "PAYMENT_REFUND_REQUESTED"
REFUND_WISH = "ORDER_REFUND_REQUESTED"

ENDED_WELL = (
    "ORDER_COMPLETED",
    "INVENTORY_SALE_REQUESTED A x1",
    "NOTIFICATION_EVENTS COMPLETED",
    "ANALYTICS_EVENTS COMPLETED",
)


SALE_TOLD = ("ORDER_COMPLETED", "NOTIFICATION_EVENTS COMPLETED", "ANALYTICS_EVENTS COMPLETED")
TAKEN_BACK = ("ORDER_REFUNDED", "NOTIFICATION_EVENTS REFUNDED", "ANALYTICS_EVENTS REFUNDED")


def ended_badly(reason: CancelReason) -> tuple[str, ...]:
    return (
        f"ORDER_CANCELLED {reason}",
        f"NOTIFICATION_EVENTS CANCELLED {reason}",
        f"ANALYTICS_EVENTS CANCELLED {reason}",
    )


def order_after(*events: OrderEvent) -> Order:
    order = orders.given(*events).state
    assert order is not None
    return order


def only(outcome: Outcome[Order | None], wire_name: str) -> Message:
    (message,) = (message for message in outcome.messages if message.type == wire_name)
    return message


# The way to a sale


def test_a_new_order_asks_the_home_of_each_sku() -> None:
    orders.given().when(created(("A", 1), ("B", 2))).then(
        "INVENTORY_REQUESTED A x1", "INVENTORY_REQUESTED B x2"
    ).and_in(PENDING)


def test_a_partly_deducted_order_waits_and_says_nothing() -> None:
    orders.given(created(("A", 1), ("B", 2))).when(deducted("A")).then().and_in(PENDING)


def test_an_order_whose_lines_are_all_deducted_asks_for_its_payment_once() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A")).given(deducted("B", 2))
    assert [say(message) for message in story.said].count("PAYMENT_REQUESTED 3000 EUR") == 1
    assert story.state is not None
    assert story.state.status is PAYING


def test_a_paid_order_is_completed_and_sold_and_everyone_is_told() -> None:
    orders.given(created(), deducted()).when(paid()).then(*ENDED_WELL).and_in(COMPLETED)


def test_a_completed_order_of_two_lines_has_both_sold() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2))
    story.when(paid(3000)).then(
        "ORDER_COMPLETED",
        "INVENTORY_SALE_REQUESTED A x1",
        "INVENTORY_SALE_REQUESTED B x2",
        "NOTIFICATION_EVENTS COMPLETED",
        "ANALYTICS_EVENTS COMPLETED",
    )


def test_the_statistics_learn_how_long_and_how_much() -> None:
    story = orders.given(created(("A", 1), ("B", 2), at=10), deducted("A", at=11), deducted("B", 2, at=11))
    told = asdict(only(story.when(paid(3000, at=12.5)), "ANALYTICS_EVENTS"))
    assert (told["settled_in_ms"], told["units"], told["total"]) == (2500, 3, 3000)
    assert (told["reserved_in_ms"], told["paid_in_ms"]) == (1000, 1500)
    assert [(line.sku, line.quantity) for line in told["lines"]] == [("A", 1), ("B", 2)]


def test_the_statistics_learn_of_no_step_that_was_never_made() -> None:
    story = orders.given(created(("A", 1), ("B", 2), at=10), insufficient("A", at=11))
    told = asdict(only(story.when(released("B", 2, at=12)), "ANALYTICS_EVENTS"))
    assert (told["reserved_in_ms"], told["paid_in_ms"], told["settled_in_ms"]) == (None, None, 2000)


def test_what_comes_after_the_end_changes_no_news_of_it() -> None:
    """A charge that goes through after a cancellation is dated as the end was, and was no step of it."""
    story = orders.given(
        created(("A", 1), at=10), deducted("A", at=11), timed_out(deducted("A", at=11), at=12)
    )
    ended = story.given(released("A", at=13))
    (first,) = [each for each in ended.said if each.type == "ANALYTICS_EVENTS"]
    late = ended.given(paid(1000, at=13)).when(released("A", at=13))
    again = [each for each in late.messages if each.type == "ANALYTICS_EVENTS"]
    assert all(each == first for each in again)
    assert asdict(first)["paid_in_ms"] is None


# The ways to a cancellation


def test_a_declined_payment_releases_every_line_before_the_order_is_cancelled() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2))
    story.when(declined()).then(
        "INVENTORY_RELEASE_REQUESTED A x1", "INVENTORY_RELEASE_REQUESTED B x2"
    ).and_in(CANCELLING, CancelReason.PAYMENT_DECLINED)


def test_a_declined_order_waits_for_the_last_line_to_be_released() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2), declined())
    story.when(released("A")).then().and_in(CANCELLING, CancelReason.PAYMENT_DECLINED)
    story.given(released("A")).when(released("B", 2)).then(
        *ended_badly(CancelReason.PAYMENT_DECLINED)
    ).and_in(CANCELLED, CancelReason.PAYMENT_DECLINED)


def test_an_order_whose_only_line_is_refused_is_cancelled_at_once() -> None:
    orders.given(created()).when(insufficient()).then(
        *ended_badly(CancelReason.INVENTORY_INSUFFICIENT)
    ).and_in(CANCELLED, CancelReason.INVENTORY_INSUFFICIENT)


def test_a_refused_line_releases_the_deducted_and_the_unanswered_ones() -> None:
    story = orders.given(created(("A", 1), ("B", 2), ("C", 3)), deducted("A"))
    story.when(insufficient("B", 2)).then(
        "INVENTORY_RELEASE_REQUESTED A x1", "INVENTORY_RELEASE_REQUESTED C x3"
    ).and_in(CANCELLING, CancelReason.INVENTORY_INSUFFICIENT)


def test_an_order_with_a_refused_line_is_cancelled_when_the_others_are_released() -> None:
    story = orders.given(
        created(("A", 1), ("B", 2), ("C", 3)), deducted("A"), insufficient("B", 2), released("C", 3)
    )
    story.when(released("A")).then(*ended_badly(CancelReason.INVENTORY_INSUFFICIENT)).and_in(
        CANCELLED, CancelReason.INVENTORY_INSUFFICIENT
    )


def test_a_second_refusal_spares_the_wait_for_its_release() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), insufficient("A"))
    story.when(insufficient("B", 2)).then(*ended_badly(CancelReason.INVENTORY_INSUFFICIENT)).and_in(
        CANCELLED, CancelReason.INVENTORY_INSUFFICIENT
    )


@pytest.mark.parametrize(
    ("event", "reason"),
    [(cancel_requested(), CancelReason.CUSTOMER_REQUEST), (timed_out(), CancelReason.SAGA_TIMEOUT)],
    ids=["customer", "timer"],
)
def test_a_pending_order_can_be_called_off(event: OrderEvent, reason: CancelReason) -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"))
    story.when(event).then("INVENTORY_RELEASE_REQUESTED A x1", "INVENTORY_RELEASE_REQUESTED B x2").and_in(
        CANCELLING, reason
    )
    story.given(event, released("B", 2)).when(released("A")).then(*ended_badly(reason)).and_in(
        CANCELLED, reason
    )


def test_a_paying_order_that_times_out_is_called_off() -> None:
    story = orders.given(created(), deducted())
    story.when(timed_out(deducted())).then("INVENTORY_RELEASE_REQUESTED A x1").and_in(
        CANCELLING, CancelReason.PAYMENT_TIMEOUT
    )
    story.given(timed_out(deducted())).when(released()).then(
        *ended_badly(CancelReason.PAYMENT_TIMEOUT)
    ).and_in(CANCELLED, CancelReason.PAYMENT_TIMEOUT)


def test_a_paying_order_that_its_customer_cancels_calls_its_payment_back() -> None:
    orders.given(created(), deducted()).when(cancel_requested()).then(
        "INVENTORY_RELEASE_REQUESTED A x1", "PAYMENT_REFUND_REQUESTED 1000 EUR"
    ).and_in(CANCELLING, CancelReason.CUSTOMER_REQUEST)


def test_it_is_not_cancelled_before_the_outcome_of_its_payment_is_known() -> None:
    story = orders.given(created(), deducted(), cancel_requested())
    story.when(released()).then().and_in(CANCELLING, CancelReason.CUSTOMER_REQUEST)
    story.given(released()).when(declined()).then(*ended_badly(CancelReason.CUSTOMER_REQUEST)).and_in(
        CANCELLED, CancelReason.CUSTOMER_REQUEST
    )
    story.given(declined()).when(released()).then(*ended_badly(CancelReason.CUSTOMER_REQUEST)).and_in(
        CANCELLED, CancelReason.CUSTOMER_REQUEST
    )


def test_a_refund_told_before_its_charge_settles_the_payment_all_the_same() -> None:
    story = orders.given(created(), deducted(), cancel_requested(), refunded())
    story.when(paid(at=6)).then().and_nothing_changed()
    story.given(paid(at=6)).when(released()).then(*ended_badly(CancelReason.CUSTOMER_REQUEST)).and_in(
        CANCELLED, CancelReason.CUSTOMER_REQUEST
    )


def test_the_second_request_of_a_refund_has_an_id_of_its_own() -> None:
    """The payment may have been under way when the first came, to which that means nothing."""
    story = orders.given(created(), deducted())
    first = only(story.when(cancel_requested()), "PAYMENT_REFUND_REQUESTED")
    second = only(story.given(cancel_requested()).when(paid()), "PAYMENT_REFUND_REQUESTED")
    assert first.event_id != second.event_id


def test_a_completed_order_can_not_be_called_off() -> None:
    story = orders.given(created(), deducted(), paid())
    story.when(cancel_requested(at=9)).then(*ENDED_WELL).and_nothing_changed()


def test_the_first_reason_to_cancel_stays() -> None:
    story = orders.given(created(), timed_out())
    story.when(cancel_requested()).then("INVENTORY_RELEASE_REQUESTED A x1").and_nothing_changed()


def test_the_timer_has_a_cancelling_order_send_again_what_it_waits_for() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), cancel_requested(), released("A"))
    story.when(timed_out(cancel_requested(), at=60)).then(
        "INVENTORY_RELEASE_REQUESTED B x2"
    ).and_nothing_changed()


@pytest.mark.parametrize(
    "history",
    [
        (created(), deducted()),
        (created(), deducted(), paid()),
        (created(), deducted(), declined()),
        (created(), insufficient()),
    ],
    ids=["paying", "completed", "cancelling", "cancelled"],
)
def test_a_time_out_about_a_status_that_the_order_has_left_does_nothing(
    history: tuple[OrderEvent, ...],
) -> None:
    orders.given(*history).when(timed_out(created(), at=9)).then_nothing_happened()


def test_a_time_out_that_comes_again_after_it_has_cancelled_the_order_has_the_same_sent_again() -> None:
    story = orders.given(created(), deducted())
    once = story.when(timed_out(deducted()))
    again = story.given(timed_out(deducted())).when(timed_out(deducted())).and_nothing_changed()
    assert once.messages == again.messages != ()


# What the timer finds


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ((created(),), ("ORDER_TIMED_OUT",)),
        ((created(), deducted()), ("ORDER_TIMED_OUT",)),
        ((created(), deducted(), declined()), ("INVENTORY_RELEASE_REQUESTED A x1",)),
    ],
    ids=["pending", "paying", "cancelling"],
)
def test_an_order_found_overdue_is_timed_out_or_has_what_it_waits_for_sent_again(
    history: tuple[OrderEvent, ...], said: tuple[str, ...]
) -> None:
    orders.given(*history).when(overdue(history[-1])).then(*said).and_nothing_changed()


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ((), created()),
        ((created(), deducted()), created()),
        ((created(), deducted(), declined()), deducted()),
        ((created(), deducted(), paid()), paid()),
        ((created(), insufficient()), insufficient()),
    ],
    ids=["unknown", "pending before", "paying before", "completed", "cancelled"],
)
def test_a_finding_about_an_order_that_has_moved_on_does_nothing(
    history: tuple[OrderEvent, ...], found: OrderEvent
) -> None:
    orders.given(*history).when(overdue(found)).then_nothing_happened()


def test_however_often_an_order_is_found_overdue_it_is_one_and_the_same_event() -> None:
    story = orders.given(created(), deducted())
    once, twice = (story.when(overdue(deducted())).messages for _ in range(2))
    assert once == twice
    assert asdict(once[0])["entered_by"] == once[0].causation_id == deducted().event_id
    pending = orders.given(created()).when(overdue(created())).messages
    assert pending[0].event_id != once[0].event_id
    orders.given(created(), deducted()).when(cast("OrderEvent", pending[0])).then_nothing_happened()
    story.when(cast("OrderEvent", once[0])).and_in(CANCELLING, CancelReason.PAYMENT_TIMEOUT)


# The way back from a sale


def test_a_refund_asks_for_the_money_and_for_every_line() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2), paid(3000))
    story.when(refund_requested()).then(
        "INVENTORY_RETURN_REQUESTED A x1",
        "INVENTORY_RETURN_REQUESTED B x2",
        "PAYMENT_REFUND_REQUESTED 3000 EUR",
    ).and_in(REFUNDING)


@pytest.mark.parametrize(
    "answers", list(permutations((returned("A"), returned("B", 2), refunded(3000)))), ids=str
)
def test_an_order_is_refunded_with_the_last_of_money_and_lines(answers: tuple[OrderEvent, ...]) -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2), paid(3000))
    story = story.given(refund_requested())
    for answer in answers[:-1]:
        story.when(answer).then().and_in(REFUNDING)
        story = story.given(answer)
    story.when(answers[-1]).then(*TAKEN_BACK).and_in(REFUNDED)


def test_a_second_wish_for_a_refund_gets_no_second_refund() -> None:
    story = orders.given(created(), deducted(), paid(), refund_requested())
    first = only(orders.given(created(), deducted(), paid()).when(refund_requested()), REFUND)
    again = story.when(refund_requested(at=9)).and_nothing_changed()
    assert only(again, REFUND) == first
    done = story.given(returned(), refunded()).when(refund_requested(at=10)).and_nothing_changed()
    assert not [message for message in done.messages if message.type == REFUND]


@pytest.mark.parametrize(
    "history",
    [
        (created(),),
        (created(), deducted()),
        (created(), deducted(), cancel_requested()),
        (created(), insufficient()),
    ],
    ids=["pending", "paying", "cancelling", "cancelled"],
)
def test_only_a_completed_order_is_refunded(history: tuple[OrderEvent, ...]) -> None:
    orders.given(*history).when(refund_requested()).and_nothing_changed()


@pytest.mark.parametrize(
    "history",
    [
        (created(), deducted(), paid(), refund_requested()),
        (created(), deducted(), cancel_requested(), paid()),
        (created(), deducted(), timed_out(deducted()), released(), paid()),
    ],
    ids=["refunding", "cancelling", "cancelled"],
)
def test_a_refund_that_fails_at_first_shows_in_the_timeline_once_and_holds_up_nothing(
    history: tuple[OrderEvent, ...],
) -> None:
    story = orders.given(*history)
    assert story.state is not None
    story.when(refund_delayed(at=9)).then().and_in(story.state.status, story.state.reason)
    again = story.given(refund_delayed(at=9), refund_delayed(at=9))
    assert again.state is not None
    assert [(step.type, step.at) for step in again.state.history].count(
        ("PAYMENT_REFUND_DELAYED", moment(9))
    ) == 1
    done = again.given(refunded(at=11), returned() if history[-1].type == REFUND_WISH else released())
    assert done.state is not None
    assert done.state.settled
    done.when(refund_delayed(at=12)).then().and_nothing_changed()


def test_a_delayed_refund_is_still_asked_for_by_whoever_asks_what_is_due() -> None:
    story = orders.given(created(), deducted(), paid(), refund_requested(), refund_delayed(at=9))
    first = only(orders.given(created(), deducted(), paid()).when(refund_requested()), REFUND)
    assert only(story.when(refund_requested(at=20)), REFUND) == first


def test_an_order_that_is_being_refunded_can_not_be_cancelled() -> None:
    story = orders.given(created(), deducted(), paid(), refund_requested())
    story.when(cancel_requested(at=9)).and_nothing_changed()
    story.given(returned(), refunded()).when(cancel_requested(at=9)).and_nothing_changed()


def test_a_sale_that_a_crash_kept_silent_is_told_though_it_is_taken_back_meanwhile() -> None:
    story = orders.given(created(), deducted())
    first = story.when(paid())
    told = [message for message in first.messages if say(message) in SALE_TOLD]
    refunding = story.given(paid(), refund_requested())
    for later in (refunding, refunding.given(returned(), refunded())):
        again = later.when(paid()).and_nothing_changed()
        assert [message for message in again.messages if say(message) in SALE_TOLD] == told


def test_what_is_returned_is_not_asked_for_again() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"), deducted("B", 2), paid(3000))
    asked = story.given(refund_requested(), returned("A"), refunded(3000)).when(refund_requested()).messages
    assert [say(message) for message in asked] == ["INVENTORY_RETURN_REQUESTED B x2"]


def test_the_timeline_of_a_refund_tells_the_sale_and_what_became_of_it() -> None:
    order = order_after(created(), deducted(), paid(), refund_requested(), returned(), refunded(at=9))
    assert [(step.type, step.about) for step in order.history[3:]] == [
        ("ORDER_COMPLETED", None),
        ("ORDER_REFUND_REQUESTED", None),
        ("INVENTORY_RETURNED", "A"),
        ("PAYMENT_REFUNDED", None),
        ("ORDER_REFUNDED", None),
    ]
    assert (order.reason, order.updated_at) == (None, moment(9))


# What arrives late


def test_a_payment_that_completes_after_the_cancellation_is_refunded_once() -> None:
    story = orders.given(created(), deducted(), timed_out(deducted()), released())
    late = story.when(paid())
    late.then("PAYMENT_REFUND_REQUESTED 1000 EUR").and_in(CANCELLED, CancelReason.PAYMENT_TIMEOUT)
    settled = story.given(paid())
    settled.when(refunded()).then().and_in(CANCELLED, CancelReason.PAYMENT_TIMEOUT)
    after = settled.given(refunded())
    after.when(paid()).then().and_nothing_changed()


def test_a_payment_that_completes_while_cancelling_is_refunded_before_the_order_is_cancelled() -> None:
    story = orders.given(created(), deducted(), cancel_requested())
    story.when(paid()).then("PAYMENT_REFUND_REQUESTED 1000 EUR").and_in(
        CANCELLING, CancelReason.CUSTOMER_REQUEST
    )
    waiting = story.given(paid(), released())
    assert waiting.state is not None
    assert waiting.state.status is CANCELLING
    waiting.when(refunded()).then(*ended_badly(CancelReason.CUSTOMER_REQUEST)).and_in(
        CANCELLED, CancelReason.CUSTOMER_REQUEST
    )


def test_a_payment_declined_after_the_cancellation_calls_for_nothing() -> None:
    story = orders.given(created(), deducted(), timed_out(deducted()), released())
    story.when(declined()).then().and_in(CANCELLED, CancelReason.PAYMENT_TIMEOUT)


def test_stock_deducted_late_for_a_refused_line_is_released() -> None:
    story = orders.given(created(), insufficient())
    story.when(deducted(at=5)).then("INVENTORY_RELEASE_REQUESTED A x1").and_in(
        CANCELLED, CancelReason.INVENTORY_INSUFFICIENT
    )
    story.given(deducted(at=5)).when(released(at=6)).then().and_in(
        CANCELLED, CancelReason.INVENTORY_INSUFFICIENT
    )


def test_stock_deducted_after_a_refusal_while_cancelling_is_released_first() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), insufficient("A"))
    story.when(deducted("A")).then("INVENTORY_RELEASE_REQUESTED A x1").and_in(
        CANCELLING, CancelReason.INVENTORY_INSUFFICIENT
    )
    waiting = story.given(deducted("A"), released("B", 2))
    waiting.when(released("A")).then(*ended_badly(CancelReason.INVENTORY_INSUFFICIENT))


def test_a_deduction_told_after_its_release_changes_nothing() -> None:
    story = orders.given(created(), cancel_requested(), released())
    story.when(deducted(at=9)).then().and_nothing_changed()


def test_a_refusal_told_after_the_deduction_changes_nothing() -> None:
    story = orders.given(created(("A", 1), ("B", 1)), deducted("A"))
    story.when(insufficient("A")).then().and_nothing_changed()


# Repeats and strangers


@pytest.mark.parametrize(
    "history",
    [
        (created(("A", 1), ("B", 2)),),
        (created(), deducted()),
        (created(), deducted(), paid()),
        (created(), deducted(), declined()),
        (created(), insufficient()),
        (created(), deducted(), paid(), refund_requested()),
        (created(), deducted(), paid(), refund_requested(), returned(), refunded()),
    ],
    ids=["pending", "paying", "completed", "cancelling", "cancelled", "refunding", "refunded"],
)
def test_a_repeat_sends_all_that_is_due_again_with_the_same_ids(history: tuple[OrderEvent, ...]) -> None:
    entering = orders.given(*history[:-1]).when(history[-1])
    repeat = orders.given(*history).when(history[-1]).and_nothing_changed()
    assert repeat.messages == entering.messages != ()


def test_of_two_creations_under_one_id_the_first_in_the_log_counts_whatever_the_other_says() -> None:
    first, other = created(("A", 1)), created(("B", 2))
    other = replace(other, event_id="another", fingerprint="another")
    story = orders.given(first)
    after = story.when(other).then("INVENTORY_REQUESTED A x1").and_nothing_changed()
    assert after.messages == story.when(first).messages


def test_a_repeated_creation_asks_only_for_what_is_unanswered() -> None:
    story = orders.given(created(("A", 1), ("B", 2)), deducted("A"))
    story.when(created(("A", 1), ("B", 2))).then("INVENTORY_REQUESTED B x2").and_nothing_changed()


@pytest.mark.parametrize(
    "event",
    [
        deducted(),
        insufficient(),
        released(),
        paid(),
        declined(),
        refund_delayed(),
        refunded(),
        returned(),
        cancel_requested(),
        refund_requested(),
        timed_out(),
    ],
    ids=lambda event: event.type,
)
def test_an_event_of_an_unknown_order_does_nothing(event: OrderEvent) -> None:
    orders.given().when(event).then_nothing_happened()


def test_an_event_about_a_sku_that_is_not_in_the_order_changes_nothing() -> None:
    story = orders.given(created(("A", 1), ("B", 1)))
    story.when(deducted("Z")).and_nothing_changed()


def test_one_duplicate_costs_no_more_messages_than_the_order_has_lines() -> None:
    """The answers to re-sent requests are repeats themselves; they must not ask for ever more."""
    skus = tuple("ABCDEFGH")
    order, said = run_saga(None, created(*((sku, 1) for sku in skus)))
    queues = dict.fromkeys(skus, 1)
    order, said = run_saga(order, created(*((sku, 1) for sku in skus)))
    sent = 0
    while said or any(queues.values()):
        for message in said:
            if message.type == "INVENTORY_REQUESTED":
                queues[message.key] += 1
                sent += 1
        said = ()
        sku = next((sku for sku in skus if queues[sku]), None)
        if sku is not None:  # one home answers all that waits for it before the next home gets a turn
            queues[sku] -= 1
            order, said = run_saga(order, deducted(sku))
    assert sent <= 2 * len(skus), f"{sent} requests for one duplicate of an order of {len(skus)} lines"


# What the messages are made of


def test_each_message_names_its_cause_and_its_order_as_correlation() -> None:
    creation = created()
    asked = orders.given().when(creation).messages[0]
    assert (asked.causation_id, asked.correlation_id) == (creation.event_id, creation.correlation_id)
    payment = only(orders.given(creation).when(deducted()), "PAYMENT_REQUESTED")
    assert (payment.causation_id, payment.correlation_id) == (deducted().event_id, creation.correlation_id)
    assert payment.occurred_at == moment(1)


def test_all_messages_of_one_order_have_ids_of_their_own() -> None:
    story = orders.given(
        created(("A", 1), ("B", 2)),
        deducted("A"),
        deducted("B", 2),
        timed_out(deducted("B", 2)),
        released("A"),
        released("B"),
    )
    ids = [message.event_id for message in story.said]
    assert len(ids) == len(set(ids)) == 8


def test_the_orders_of_two_customers_share_no_id() -> None:
    one = orders.given(created(order="one")).said
    two = orders.given(created(order="two")).said
    assert not {message.event_id for message in one} & {message.event_id for message in two}


def test_a_release_sent_while_cancelling_and_another_when_cancelled_have_ids_of_their_own() -> None:
    story = orders.given(created(), cancel_requested(at=3), insufficient(at=4))
    first = orders.given(created()).when(cancel_requested(at=3)).messages[0]
    second = only(story.when(deducted(at=5)), "INVENTORY_RELEASE_REQUESTED")
    assert first == second or first.event_id != second.event_id


@pytest.mark.parametrize("first", [paid(), declined()], ids=["paid", "declined"])
def test_the_payment_is_requested_with_the_token_and_the_total(first: OrderEvent) -> None:
    story = orders.given(created(("A", 3)))
    request = asdict(only(story.when(deducted("A", 3)), "PAYMENT_REQUESTED"))
    assert (request["amount"], request["currency"], request["payment_token"]) == (3000, "EUR", "tok-visa")
    assert order_after(created(("A", 3)), deducted("A", 3), first).payment is not PaymentKnown.UNKNOWN


def test_the_announcement_of_a_sale_carries_the_lines() -> None:
    announced = asdict(
        only(orders.given(created(("A", 2)), deducted("A", 2)).when(paid()), "ORDER_COMPLETED")
    )
    assert announced["lines"] == (OrderLine(sku="A", quantity=2, unit_price=1000),)
    assert (announced["customer_id"], announced["total"]) == ("customer-1", 2000)


# The timeline


def test_the_timeline_of_a_sale_names_each_event_and_ends_with_the_announcement() -> None:
    order = order_after(created(("A", 1), ("B", 2)), deducted("A", at=1), deducted("B", 2, at=2), paid(at=3))
    assert [(step.type, step.about, step.at) for step in order.history] == [
        ("ORDER_CREATED", None, moment(0)),
        ("INVENTORY_DEDUCTED", "A", moment(1)),
        ("INVENTORY_DEDUCTED", "B", moment(2)),
        ("PAYMENT_COMPLETED", None, moment(3)),
        ("ORDER_COMPLETED", None, moment(3)),
    ]
    assert (order.version, order.created_at, order.updated_at) == (4, moment(0), moment(3))


def test_the_timeline_of_a_cancellation_ends_with_its_reason() -> None:
    order = order_after(created(), deducted(), declined(), released())
    assert [(step.type, step.about) for step in order.history] == [
        ("ORDER_CREATED", None),
        ("INVENTORY_DEDUCTED", "A"),
        ("PAYMENT_FAILED", None),
        ("INVENTORY_RELEASED", "A"),
        ("ORDER_CANCELLED", "PAYMENT_DECLINED"),
    ]


def test_the_last_step_of_the_timeline_has_the_id_of_what_was_announced() -> None:
    outcome = orders.given(created(), deducted()).when(paid())
    assert outcome.after is not None
    assert outcome.after.history[-1].event_id == only(outcome, "ORDER_COMPLETED").event_id
    assert outcome.after.history[-1].causation_id == paid().event_id


def test_what_arrives_late_and_counts_stands_in_the_timeline_after_the_end() -> None:
    order = order_after(created(), deducted(), timed_out(deducted()), released(), paid(), refunded())
    assert [step.type for step in order.history[-3:]] == [
        "ORDER_CANCELLED",
        "PAYMENT_COMPLETED",
        "PAYMENT_REFUNDED",
    ]
    assert order.version == 6


EVENTS: tuple[OrderEvent, ...] = (
    created(("A", 1), ("B", 2)),
    deducted("A"),
    deducted("B", 2),
    insufficient("A"),
    insufficient("B", 2),
    released("A"),
    released("B", 2),
    paid(),
    declined(),
    refund_delayed(),
    refunded(),
    returned("A"),
    returned("B", 2),
    cancel_requested(),
    refund_requested(),
    timed_out(),
    timed_out(deducted("A")),
)


@any_of(st.lists(st.sampled_from(EVENTS), max_size=14))
@settings(deadline=None, max_examples=300)
def test_whatever_comes_in_whatever_order_the_books_of_an_order_are_right(events: list[OrderEvent]) -> None:
    order: Order | None = None
    for event in events:
        before, (order, said) = order, run_saga(order, event)
        if order is None:
            assert not said
            continue
        counted = order != before
        assert order.version == (before.version if before else 0) + counted
        assert (order is not before) == counted
        taken_back = order.status in {REFUNDING, REFUNDED}
        assert len(order.history) == order.version + order.settled + taken_back
        if before is not None and before.settled and order.status is not REFUNDING:
            assert (order.status, order.reason) == (before.status, before.reason)
        assert (order.reason is not None) == (order.status in {CANCELLING, CANCELLED})
        if order.status is REFUNDED:
            assert {line.status for line in order.lines} == {LineStatus.RETURNED}
            assert order.payment is PaymentKnown.REFUNDED
        if order.status is COMPLETED:
            assert {line.status for line in order.lines} == {LineStatus.DEDUCTED}
            assert order.payment is PaymentKnown.COMPLETED
