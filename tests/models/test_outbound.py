"""What becomes of an order's messages to others: given what came, when this comes, then that is due."""

from dataclasses import dataclass

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from models.events import NotificationEvent, OrderCompleted, OrderLine, OrderRefunded
from models.messages import derive_id
from models.notification import label as notice_label
from models.notification import words
from models.outbound import (
    AWAITED_IN,
    Buried,
    Delivered,
    Offered,
    OutboundEvent,
    Outbox,
    OutboxInput,
    Outcome,
    ParcelStatus,
    Undeliverable,
    evolve,
    given_up,
    next_parcel,
    offer,
)
from models.transfer import label, payload
from tests.models.scenario import ORDER, moment

SOLD, BACK = OrderCompleted.type, OrderRefunded.type


def sold(recorded: float = 1) -> OrderCompleted:
    return OrderCompleted(
        event_id=derive_id(SOLD, ORDER),
        occurred_at=moment(0),
        correlation_id=ORDER,
        causation_id="cause",
        recorded_at=moment(recorded),
        order_id=ORDER,
        customer_id="ada",
        currency="EUR",
        lines=(OrderLine(sku="A", quantity=1, unit_price=100),),
        total=100,
    )


def back(recorded: float = 2) -> OrderRefunded:
    return OrderRefunded(
        event_id=derive_id(BACK, ORDER),
        occurred_at=moment(1),
        correlation_id=ORDER,
        causation_id="cause",
        recorded_at=moment(recorded),
        order_id=ORDER,
        customer_id="ada",
        currency="EUR",
        total=100,
    )


def notice(status: str, reason: str | None = None) -> NotificationEvent:
    return NotificationEvent(
        event_id=derive_id(NotificationEvent.type, ORDER, status),
        occurred_at=moment(0),
        correlation_id=ORDER,
        causation_id="cause",
        recorded_at=moment(1),
        order_id=ORDER,
        customer_id="ada",
        status=status,
        reason=reason,
    )


def offered(event: OrderCompleted | OrderRefunded, not_before: float = 0) -> Offered:
    parcel = offer(event, 7, label(event), moment(10))
    return Offered(order_id=ORDER, parcel=parcel, not_before=moment(not_before))


def delivered(kind: str) -> Delivered:
    return Delivered(order_id=ORDER, kind=kind, at=moment(20))


def undeliverable(kind: str) -> Undeliverable:
    return Undeliverable(order_id=ORDER, kind=kind, at=moment(30), error="status 500")


def buried(kind: str) -> Buried:
    return Buried(order_id=ORDER, kind=kind, at=moment(31))


@dataclass(frozen=True)
class Story:
    """Be what came so far, and what is to be done now."""

    outbox: Outbox | None = None

    def given(self, *inputs: OutboxInput) -> "Story":
        story = self
        for each in inputs:
            story = Story(evolve(story.outbox, each))
        return story

    def when(self, each: OutboxInput) -> "Story":
        return self.given(each)

    def then(self, *statuses: str, sends: str | None = None, buries: tuple[str, ...] = ()) -> None:
        """Expect the messages to stand so, this one to be sent, and these to be dead letters."""
        assert self.outbox is not None
        assert tuple(parcel.status for parcel in self.outbox.parcels) == statuses
        due = next_parcel(self.outbox)
        assert (None if due is None else due.kind) == sends
        assert tuple(parcel.kind for parcel in given_up(self.outbox)) == buries
        assert self.outbox.undone == bool({"OPEN", "GIVEN_UP"} & set(statuses))


NOTHING = Story()


def test_a_sale_is_sent() -> None:
    NOTHING.when(offered(sold())).then("OPEN", sends=SOLD)


def test_what_was_delivered_is_done_and_keeps_nothing_but_its_name() -> None:
    story = NOTHING.given(offered(sold())).when(delivered(SOLD))
    story.then("DELIVERED")
    assert story.outbox is not None
    (parcel,) = story.outbox.parcels
    assert (parcel.event, parcel.id) == (None, sold().event_id)


def test_a_repeat_of_what_was_delivered_is_not_sent() -> None:
    NOTHING.given(offered(sold()), delivered(SOLD)).when(offered(sold(recorded=50))).then("DELIVERED")


def test_a_refund_waits_for_its_sale_to_be_delivered() -> None:
    story = NOTHING.given(offered(sold())).when(offered(back()))
    story.then("OPEN", "OPEN", sends=SOLD)
    story.when(delivered(SOLD)).then("DELIVERED", "OPEN", sends=BACK)


def test_a_refund_that_is_read_first_waits_for_its_sale_to_be_read() -> None:
    story = NOTHING.when(offered(back()))
    story.then("OPEN")
    story.when(offered(sold())).then("OPEN", "OPEN", sends=SOLD)


def test_what_is_too_old_is_skipped_and_stays_so() -> None:
    story = NOTHING.when(offered(sold(recorded=1), not_before=5))
    story.then("SKIPPED")
    story.when(offered(sold(recorded=9), not_before=5)).then("SKIPPED")


def test_what_follows_a_skipped_one_is_sent() -> None:
    NOTHING.given(offered(sold(recorded=1), not_before=5)).when(offered(back(recorded=6), not_before=5)).then(
        "SKIPPED", "OPEN", sends=BACK
    )


def test_what_is_given_up_is_buried_and_then_dead() -> None:
    story = NOTHING.given(offered(sold())).when(undeliverable(SOLD))
    story.then("GIVEN_UP", buries=(SOLD,))
    story.when(buried(SOLD)).then("DEAD")


def test_a_letter_is_the_same_however_often_it_is_buried() -> None:
    story = NOTHING.given(offered(sold()), undeliverable(SOLD))
    again = story.given(undeliverable(SOLD), offered(sold()))
    assert story.outbox is not None
    assert again.outbox is not None
    assert given_up(again.outbox) == given_up(story.outbox)
    (parcel,) = given_up(story.outbox)
    assert (parcel.event, parcel.offset, parcel.error) == (sold(), 7, "status 500")


def test_once_a_message_is_given_up_the_next_is_sent() -> None:
    NOTHING.given(offered(sold()), offered(back())).when(undeliverable(SOLD)).then(
        "GIVEN_UP", "OPEN", sends=BACK, buries=(SOLD,)
    )


def test_a_dead_letter_that_is_put_back_is_sent_again_under_the_same_id() -> None:
    story = NOTHING.given(offered(sold(recorded=1)), undeliverable(SOLD), buried(SOLD))
    again = story.when(offered(sold(recorded=90), not_before=5))
    again.then("OPEN", sends=SOLD)
    assert again.outbox is not None
    assert again.outbox.parcels[0].id == sold().event_id


def test_a_letter_that_is_put_back_before_its_burial_is_on_record_is_sent_again() -> None:
    story = NOTHING.given(offered(sold(recorded=1)), undeliverable(SOLD)).when(offered(sold(recorded=90)))
    story.then("OPEN", sends=SOLD)
    assert story.when(buried(SOLD)) == story


def test_the_record_of_a_dead_letter_that_is_read_again_after_a_crash_changes_nothing() -> None:
    story = NOTHING.given(offered(sold(recorded=1)), undeliverable(SOLD), buried(SOLD))
    assert story.when(offered(sold(recorded=1))) == story


@pytest.mark.parametrize("status", ParcelStatus)
@pytest.mark.parametrize("outcome", [delivered(SOLD), undeliverable(SOLD), buried(SOLD)])
def test_an_outcome_counts_where_it_is_awaited_and_nowhere_else(
    status: ParcelStatus, outcome: Outcome
) -> None:
    outbox = NOTHING.given(offered(sold())).outbox
    assert outbox is not None
    known = replace(outbox, parcels=(replace(outbox.parcels[0], status=status),))
    assert (evolve(known, outcome) is known) == (AWAITED_IN[type(outcome)] is not status)


def test_an_outcome_of_what_nobody_knows_changes_nothing() -> None:
    assert evolve(None, delivered(SOLD)) is None


INPUTS = [
    *(offered(event) for event in (sold(1), sold(90), back(2), back(91))),
    *(make(kind) for make in (delivered, undeliverable, buried) for kind in (SOLD, BACK)),
]


@any_of(st.lists(st.sampled_from(INPUTS), max_size=12))
def test_whatever_comes_in_any_order_messages_stand_in_their_order_and_each_once(
    inputs: list[OutboxInput],
) -> None:
    outbox: Outbox | None = None
    for each in inputs:
        before, outbox = outbox, evolve(outbox, each)
        assert evolve(outbox, each) == outbox  # a repeat changes nothing
        if before is not None and outbox is not None and before.find(SOLD) is not None:
            gone = {parcel.kind for parcel in before.parcels} - {parcel.kind for parcel in outbox.parcels}
            assert not gone
    if outbox is None:
        return
    kinds = [parcel.kind for parcel in outbox.parcels]
    assert kinds == sorted(set(kinds))
    due = next_parcel(outbox)
    if due is not None and due.kind == BACK:
        first = outbox.find(SOLD)
        assert first is not None
        assert first.status is not ParcelStatus.OPEN


@any_of(st.lists(st.sampled_from(INPUTS), max_size=12))
def test_what_was_delivered_or_skipped_is_never_sent_again(inputs: list[OutboxInput]) -> None:
    outbox: Outbox | None = None
    done: set[str] = set()
    for each in inputs:
        outbox = evolve(outbox, each)
        for parcel in outbox.parcels if outbox else ():
            if parcel.status in {ParcelStatus.DELIVERED, ParcelStatus.SKIPPED}:
                done.add(parcel.kind)
            assert parcel.kind not in done or not parcel.undone


# What is told


def test_a_sale_is_told_with_its_lines_and_its_place() -> None:
    told = payload(offer(sold(), 0, label(sold()), moment(9)))
    assert told["type"] == "ORDER_COMPLETED"
    data = told["data"]
    assert isinstance(data, dict)
    assert (data["sequence"], data["order_id"], data["lines"]) == (1, ORDER, sold().lines)


def test_a_message_is_the_same_however_often_it_is_made() -> None:
    first, again = (offer(event, 0, label(event), moment(9)) for event in (back(2), back(90)))
    assert payload(first) == payload(again)
    assert first.id == again.id


@pytest.mark.parametrize(("status", "sequence"), [("COMPLETED", 1), ("CANCELLED", 1), ("REFUNDED", 2)])
def test_customers_hear_of_each_end(status: str, sequence: int) -> None:
    assert notice_label(notice(status)) == (status, sequence)


@pytest.mark.parametrize("status", ["PENDING", "NONSENSE"])
def test_there_is_nothing_to_say_of_what_is_no_end(status: str) -> None:
    with pytest.raises(ValueError, match=status):
        notice_label(notice(status))


def test_a_reason_is_put_into_words() -> None:
    assert words(notice("CANCELLED", "PAYMENT_DECLINED"))["reason"] == "payment declined"
    assert words(notice("COMPLETED"))["reason"] == ""


@pytest.mark.parametrize("event", [sold(), back(), notice("COMPLETED")])
def test_an_event_that_the_log_has_not_dated_goes_by_its_own_time(event: OutboundEvent) -> None:
    parcel = offer(replace(event, recorded_at=UNSET), 0, notice_label(notice("COMPLETED")), moment(9))
    assert parcel.asked_at == event.occurred_at
