import pytest
from msgspec.structs import asdict

from models.payment import (
    Charged,
    Declined,
    Payment,
    PaymentInput,
    PaymentStatus,
    RefundDelayed,
    Refunded,
    evolve,
)
from tests.models.scenario import ORDER, charge, moment, payments, refund

TAKEN = Charged(order_id=ORDER, reference="ch-1", at=moment(2))
REFUSED = Declined(order_id=ORDER, reference="insufficient funds", at=moment(2))
FAILED_ONCE = RefundDelayed(order_id=ORDER, at=moment(3.5))
FAILED_AGAIN = RefundDelayed(order_id=ORDER, at=moment(3.8))
RETURNED = Refunded(order_id=ORDER, reference="re-1", at=moment(4))


def payment_after(*inputs: PaymentInput) -> Payment:
    payment = payments.given(*inputs).state
    assert payment is not None
    return payment


def test_a_request_leaves_an_open_intent_and_no_word() -> None:
    payments.given().when(charge()).then().and_in(PaymentStatus.CHARGING)
    assert payment_after(charge()).open


def test_the_intent_knows_all_that_the_provider_is_to_be_asked() -> None:
    intent = payment_after(charge(2500))
    assert (intent.order_id, intent.amount, intent.currency, intent.payment_token) == (
        ORDER,
        2500,
        "EUR",
        "tok-visa",
    )


def test_a_charge_is_told_as_completed() -> None:
    payments.given(charge()).when(TAKEN).then("PAYMENT_COMPLETED").and_in(PaymentStatus.COMPLETED)


def test_the_news_of_a_charge_names_amount_charge_cause_and_time() -> None:
    (told,) = payments.given(charge()).when(TAKEN).messages
    facts = asdict(told)
    assert (facts["amount"], facts["currency"], facts["charge_id"]) == (1000, "EUR", "ch-1")
    assert (told.causation_id, told.correlation_id) == (charge().event_id, charge().correlation_id)
    assert told.occurred_at == moment(2)


def test_a_decline_is_told_as_failed_with_its_reason() -> None:
    payments.given(charge()).when(REFUSED).then("PAYMENT_FAILED insufficient funds").and_in(
        PaymentStatus.FAILED
    )


def test_a_refund_is_an_open_intent_first_and_told_when_done() -> None:
    story = payments.given(charge(), TAKEN)
    story.when(refund()).then().and_in(PaymentStatus.REFUNDING)
    assert payment_after(charge(), TAKEN, refund()).open
    story.given(refund()).when(RETURNED).then("PAYMENT_REFUNDED").and_in(PaymentStatus.REFUNDED)


def test_a_refund_that_fails_stays_open_and_says_so_with_the_time_of_its_first_failure() -> None:
    story = payments.given(charge(), TAKEN, refund())
    assert not payment_after(charge(), TAKEN, refund()).refund_delayed
    (told,) = story.when(FAILED_ONCE).then("PAYMENT_REFUND_DELAYED").and_in(PaymentStatus.REFUNDING).messages
    assert (told.occurred_at, told.causation_id) == (moment(3.5), refund().event_id)
    again = story.given(FAILED_ONCE).when(FAILED_AGAIN).and_nothing_changed()
    assert again.messages == (told,)
    delayed = payment_after(charge(), TAKEN, refund(), FAILED_ONCE)
    assert (delayed.open, delayed.refund_delayed) == (True, True)


def test_a_delayed_refund_ends_as_any_other() -> None:
    story = payments.given(charge(), TAKEN, refund(), FAILED_ONCE)
    story.when(RETURNED).then("PAYMENT_REFUNDED").and_in(PaymentStatus.REFUNDED)
    assert not payment_after(charge(), TAKEN, refund(), FAILED_ONCE, RETURNED).refund_delayed


@pytest.mark.parametrize("history", [(charge(),), (charge(), TAKEN), (charge(), TAKEN, refund(), RETURNED)])
def test_only_a_refund_that_is_under_way_is_delayed(history: tuple[PaymentInput, ...]) -> None:
    payments.given(*history).when(FAILED_ONCE).and_nothing_changed()


def test_an_open_refund_still_knows_the_charge_that_it_gives_back() -> None:
    assert payment_after(charge(), TAKEN, refund()).reference == "ch-1"


def test_the_news_of_a_refund_is_caused_by_its_request() -> None:
    (told,) = payments.given(charge(), TAKEN, refund()).when(RETURNED).messages
    assert (told.causation_id, asdict(told)["refund_id"]) == (refund().event_id, "re-1")


@pytest.mark.parametrize(
    ("history", "last"),
    [
        ((charge(), TAKEN), charge()),
        ((charge(), REFUSED), charge()),
        ((charge(), TAKEN, refund(), RETURNED), refund()),
    ],
    ids=["completed", "failed", "refunded"],
)
def test_a_repeated_request_is_answered_again_in_the_same_words(
    history: tuple[PaymentInput, ...], last: PaymentInput
) -> None:
    first = payments.given(*history[:-1]).when(history[-1])
    again = payments.given(*history).when(last).and_nothing_changed()
    assert again.messages == first.messages != ()


@pytest.mark.parametrize(
    "history",
    [(charge(),), (charge(), TAKEN, refund())],
    ids=["charging", "refunding"],
)
def test_a_repeat_while_the_intent_is_open_says_nothing_and_leaves_it_open(
    history: tuple[PaymentInput, ...],
) -> None:
    payments.given(*history).when(history[-1]).then_nothing_happened()


@pytest.mark.parametrize(
    "history",
    [(charge(),), (charge(), REFUSED)],
    ids=["charging", "failed"],
)
def test_only_a_completed_payment_is_refunded(history: tuple[PaymentInput, ...]) -> None:
    story = payments.given(*history)
    story.when(refund()).and_nothing_changed()


def test_a_payment_is_refunded_once() -> None:
    story = payments.given(charge(), TAKEN, refund(), RETURNED)
    story.when(refund()).then("PAYMENT_REFUNDED").and_nothing_changed()
    story.when(RETURNED).then("PAYMENT_REFUNDED").and_nothing_changed()


def test_the_first_answer_stands() -> None:
    payments.given(charge(), TAKEN).when(REFUSED).then("PAYMENT_COMPLETED").and_nothing_changed()
    payments.given(charge(), REFUSED).when(TAKEN).and_nothing_changed()


def test_a_refund_asked_for_before_the_charge_has_the_late_request_charge_nothing() -> None:
    story = payments.given()
    story.when(refund()).then("PAYMENT_FAILED withdrawn").and_in(PaymentStatus.FAILED)
    first = story.when(refund())
    late = story.given(refund()).when(charge(at=9)).and_nothing_changed()
    assert late.messages == first.messages
    assert not payment_after(refund(), charge()).open


@pytest.mark.parametrize(
    "answer", [TAKEN, REFUSED, RETURNED, FAILED_ONCE], ids=lambda each: type(each).__name__
)
def test_an_answer_about_an_unknown_payment_does_nothing(answer: PaymentInput) -> None:
    payments.given().when(answer).then_nothing_happened()


def test_an_input_that_does_not_count_returns_the_very_same_payment() -> None:
    payment = payment_after(charge(), TAKEN)
    assert evolve(payment, charge()) is payment
