"""Each offence is planted into a history without any, and found; and a clean history has none."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from app.audit.facts import Fact, Limits, Place, Status
from app.audit.offences import RULES, Kind
from models.events import InventoryRestocked, PaymentCompleted, PaymentRefunded
from models.messages import Message
from tests.app.audit.histories import (
    DEADLINE,
    LATER,
    AnyFact,
    audit,
    cancel_paid_late,
    changed,
    decline,
    facts_of,
    plant,
    refund,
    refusal,
    sale,
    timeout,
    withdrawal,
    without,
)
from tests.models.scenario import (
    ORDER,
    cancel_requested,
    created,
    deducted,
    insufficient,
    moment,
    paid,
    refund_requested,
    restock,
)
from tests.models.world import World


def late(fact: AnyFact, seconds: float) -> AnyFact:
    """Return the fact as if recorded so much later."""
    message = replace(fact.message, recorded_at=fact.at + timedelta(seconds=seconds))
    return Fact(message, fact.place, fact.judged)


def in_status_refunding(facts: list[AnyFact]) -> list[AnyFact]:
    """Leave out that the refund is done."""
    kept = without(facts, "ORDER_REFUNDED")
    return [fact for fact in kept if getattr(fact.message, "status", None) != "REFUNDED"]


def unjudged(fact: AnyFact) -> AnyFact:
    """Return the fact as one recorded while the ends were looked for."""
    return Fact(fact.message, fact.place, judged=False)


# What is right


@pytest.mark.parametrize(
    ("history", "status"),
    [
        (sale(), Status.COMPLETED),
        (decline(), Status.CANCELLED),
        (refusal(), Status.CANCELLED),
        (cancel_paid_late(), Status.CANCELLED),
        (cancel_paid_late(failures=2), Status.CANCELLED),
        (cancel_paid_late(by_timer=True), Status.CANCELLED),
        (withdrawal(), Status.CANCELLED),
        (timeout(), Status.CANCELLED),
        (refund(), Status.REFUNDED),
        (refund(failures=2), Status.REFUNDED),
    ],
)
def test_a_clean_history_has_no_offence(history: list[AnyFact], status: Status) -> None:
    found = audit(history)
    assert not found.offences
    assert found.orders[ORDER].status is status
    assert all(each.counters.adds_up for each in found.stock.values())


def test_a_late_charge_that_was_given_back_is_in_the_history_of_the_cancelled_order() -> None:
    told = [fact.message for fact in cancel_paid_late()]
    assert any(isinstance(message, PaymentCompleted) for message in told)
    assert any(isinstance(message, PaymentRefunded) for message in told)


def test_repeats_of_the_same_event_are_no_offence() -> None:
    facts = sale()
    again = [late(Fact(fact.message, fact.place._replace(offset=500)), 5) for fact in facts]
    assert not audit([*facts, *again]).offences


def test_an_order_that_is_not_past_its_deadline_is_open_and_no_offence() -> None:
    facts = [Fact(created(("A", 1)), Place("ORDER_CREATED", 0, 0))]
    found = audit(facts, Limits(now=moment(60), deadline=timedelta(seconds=60)))
    assert not found.offences
    assert (found.orders[ORDER].status, found.orders[ORDER].due) == (Status.OPEN, moment(60))


def test_an_order_that_is_open_is_an_offence_where_nothing_is_under_way() -> None:
    facts = [Fact(created(("A", 1)), Place("ORDER_CREATED", 0, 0))]
    at_rest = Limits(now=moment(60), deadline=timedelta(seconds=60), at_rest=True)
    assert audit(facts, at_rest).kinds == {Kind.NO_END}
    assert not audit(sale(), at_rest).offences


def test_what_was_recorded_while_the_ends_were_looked_for_needs_no_cause_yet() -> None:
    facts = without(sale(), "PAYMENT_COMPLETED", "INVENTORY_DEDUCTED", "INVENTORY_RESTOCKED")
    soon = Limits(now=moment(1), deadline=DEADLINE)
    behind = {"ORDER_COMPLETED", "INVENTORY_SALE_REQUESTED", "NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"}
    behind |= {"PAYMENT_REQUESTED"}
    found = audit([unjudged(fact) if fact.message.type in behind else fact for fact in facts], soon)
    assert not found.offences
    assert found.orders[ORDER].due == moment(1), "it is looked at again at once"
    assert audit(facts, soon).kinds == {Kind.NO_CAUSE, Kind.COMPLETED_UNCHARGED, Kind.SOLD_UNRESERVED}


# 1. Orders end once and in time


def test_an_order_without_an_end_is_found_when_its_deadline_is_over() -> None:
    facts = without(sale(), "ORDER_COMPLETED")
    found = audit(facts)
    assert found.kinds == {Kind.NO_END}
    assert found.offences[0].found.startswith("none after 259,200 s, ")
    assert found.offences[0].place == Place("ORDER_CREATED", 0, 0)


def test_an_order_that_both_completed_and_was_cancelled_is_found() -> None:
    facts, cancelled = sale(), decline()
    end = next(fact for fact in cancelled if fact.message.type == "ORDER_CANCELLED")
    cause = next(fact for fact in facts if fact.message.type == "PAYMENT_COMPLETED")
    forged = replace(end.message, causation_id=cause.message.event_id, recorded_at=moment(9))
    found = audit([*facts, Fact(forged, end.place)])
    assert found.kinds == {Kind.SECOND_END}
    assert found.offences[0].found == "ORDER_COMPLETED and ORDER_CANCELLED"


def test_two_ends_of_one_kind_under_two_ids_are_found() -> None:
    facts = sale()
    assert audit([*facts, plant(facts, "ORDER_COMPLETED", event_id="another")]).kinds == {Kind.SECOND_END}


def test_an_end_past_the_deadline_is_found() -> None:
    facts = changed(sale(), "ORDER_COMPLETED", lambda fact: late(fact, 2 * 86_400))
    found = audit(facts, Limits(now=moment(10 * 86_400), deadline=DEADLINE))
    assert found.kinds == {Kind.LATE_END}
    assert found.offences[0].expected == "an end within 86,400 s"
    assert found.offences[0].place == Place("ORDER_COMPLETED", 0, 0)


@pytest.mark.parametrize("notice", ["NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"])
def test_an_end_that_nobody_is_told_of_is_found(notice: str) -> None:
    found = audit(without(sale(), notice))
    assert found.kinds == {Kind.END_NOT_TOLD}
    assert found.offences[0].expected == f"{notice} of COMPLETED"


def test_a_wish_for_a_refund_that_nothing_comes_of_is_found_when_its_deadline_is_over() -> None:
    facts = sale()
    asked = [*facts, Fact(refund_requested(), Place("ORDER_REFUND_REQUESTED", 0, 0))]
    soon = audit(asked, Limits(now=moment(60), deadline=DEADLINE))
    assert not soon.offences
    assert soon.orders[ORDER].due is not None
    found = audit(asked)
    assert found.kinds == {Kind.NO_REFUND}
    (offence,) = found.offences
    assert offence.expected == "ORDER_REFUNDED within 86,400 s"
    missing = "INVENTORY_RETURNED of A, INVENTORY_RETURNED of B, PAYMENT_REFUNDED"
    assert offence.found == f"none after 259,193 s, without {missing}"
    assert offence.place == Place("ORDER_REFUND_REQUESTED", 0, 0)
    assert found.orders[ORDER].status is Status.COMPLETED


def test_a_wish_from_before_the_sale_may_come_to_nothing() -> None:
    early = Fact(refund_requested(at=0), Place("ORDER_REFUND_REQUESTED", 0, 0))
    assert not audit([*sale(), early]).offences
    assert not audit([*decline(), early]).offences


def test_clocks_that_may_differ_leave_open_whether_the_wish_came_before_the_sale() -> None:
    wish = Fact(refund_requested(), Place("ORDER_REFUND_REQUESTED", 0, 0))
    assert not audit([*sale(), wish], Limits(now=LATER.now, deadline=DEADLINE, skew=timedelta(10))).offences


def test_a_refund_whose_money_is_being_retried_is_found_and_says_so() -> None:
    facts = in_status_refunding(without(refund(failures=2), "PAYMENT_REFUNDED"))
    found = audit(facts)
    assert found.kinds == {Kind.NO_REFUND}
    assert (
        "without PAYMENT_REFUNDED; PAYMENT_REFUND_DELAYED at 2026-01-01 00:00:00" in found.offences[0].found
    )
    assert found.orders[ORDER].status is Status.REFUNDING
    assert not audit(facts, Limits(now=moment(60), deadline=DEADLINE)).offences


def test_a_cancelled_order_whose_money_is_being_retried_says_so_where_it_has_no_end() -> None:
    cancelled = without(cancel_paid_late(failures=2), "PAYMENT_REFUNDED", "ORDER_CANCELLED")
    found = audit(without(cancelled, "NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"))
    assert found.kinds == {Kind.NO_END}
    assert "PAYMENT_REFUND_DELAYED at " in found.offences[0].found


def test_a_refund_that_is_done_and_not_said_to_be_is_found() -> None:
    found = audit(in_status_refunding(refund()))
    assert found.kinds == {Kind.NO_REFUND}
    assert found.offences[0].found.endswith(" was the last")


def test_a_refund_past_its_deadline_is_found() -> None:
    facts = changed(refund(), "ORDER_REFUNDED", lambda fact: late(fact, 2 * 86_400))
    found = audit(facts)
    assert found.kinds == {Kind.LATE_END}
    assert found.offences[0].place == Place("ORDER_REFUNDED", 0, 0)


def test_a_refund_long_after_the_sale_is_not_late() -> None:
    month = 30 * 86_400
    wish = next(fact for fact in refund() if fact.message.type == "ORDER_REFUND_REQUESTED")
    facts = [late(fact, month) if fact.at >= wish.at else fact for fact in refund()]
    assert not audit(facts, Limits(now=moment(2 * month), deadline=DEADLINE)).offences


def test_a_refund_that_nobody_asked_for_is_found_in_all_that_came_of_it() -> None:
    found = audit(without(refund(), "ORDER_REFUND_REQUESTED"))
    assert found.kinds == {
        Kind.NO_CAUSE,
        Kind.SECOND_END,
        Kind.SETTLED_WRONGLY,
        Kind.COMPLETED_REFUNDED,
    }
    assert "no ORDER_REFUNDED before ORDER_REFUND_REQUESTED" in {each.expected for each in found.offences}


def test_a_wish_that_comes_after_its_refund_is_found() -> None:
    facts = changed(refund(), "ORDER_REFUND_REQUESTED", lambda fact: late(fact, 60))
    assert audit(facts).kinds == {Kind.SECOND_END, Kind.SETTLED_WRONGLY, Kind.COMPLETED_REFUNDED}
    assert not audit(facts, Limits(now=LATER.now, deadline=DEADLINE, skew=timedelta(seconds=90))).offences


def test_a_wish_that_may_not_have_been_read_yet_is_not_missed() -> None:
    taken_back = {"INVENTORY_RETURN_REQUESTED", "PAYMENT_REFUND_REQUESTED", "INVENTORY_RETURNED"}
    taken_back |= {"PAYMENT_REFUNDED", "ORDER_REFUNDED", "NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"}
    facts = without(refund(), "ORDER_REFUND_REQUESTED")
    assert not audit([unjudged(fact) if fact.message.type in taken_back else fact for fact in facts]).offences


def test_a_second_refund_is_a_second_end() -> None:
    facts = refund()
    assert audit([*facts, plant(facts, "ORDER_REFUNDED", event_id="another")]).kinds == {Kind.SECOND_END}


def test_a_cancelled_order_that_is_refunded_is_found() -> None:
    facts = cancel_paid_late()
    told = plant(refund(), "ORDER_REFUNDED", causation_id=facts[0].message.event_id, total=2000)
    cause = next(fact for fact in facts if fact.message.type == "PAYMENT_REFUNDED").message.event_id
    forged = Fact(replace(told.message, causation_id=cause, recorded_at=moment(9)), told.place)
    wish = Fact(refund_requested(), Place("ORDER_REFUND_REQUESTED", 0, 0))
    found = audit([*facts, wish, forged])
    assert Kind.SECOND_END in found.kinds
    assert "ORDER_CANCELLED and ORDER_REFUNDED" in {each.found for each in found.offences}


def test_an_order_that_is_refunded_and_was_never_completed_is_found() -> None:
    found = audit(without(refund(), "ORDER_COMPLETED"))
    assert found.kinds == {Kind.NO_END}


def test_a_sale_may_be_announced_after_its_refund() -> None:
    """A crash may have kept it back."""
    facts = changed(refund(), "ORDER_COMPLETED", lambda fact: late(fact, 60))
    found = audit(facts)
    assert not found.offences
    assert found.orders[ORDER].status is Status.REFUNDED


@pytest.mark.parametrize("status", ["COMPLETED", "REFUNDED"])
@pytest.mark.parametrize("notice", ["NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"])
def test_a_refund_and_its_sale_are_each_told(notice: str, status: str) -> None:
    facts = [
        fact
        for fact in refund()
        if (fact.message.type, getattr(fact.message, "status", None)) != (notice, status)
    ]
    found = audit(facts)
    assert found.kinds == {Kind.END_NOT_TOLD}
    assert found.offences[0].expected == f"{notice} of {status}"


def test_a_wish_that_led_to_something_counts_though_the_sale_was_announced_after_it() -> None:
    facts = changed(in_status_refunding(refund()), "ORDER_COMPLETED", lambda fact: late(fact, 60))
    assert audit(facts).kinds == {Kind.NO_REFUND}


def test_a_refund_is_looked_at_again_when_it_is_due() -> None:
    past = Limits(now=moment(86_403), deadline=DEADLINE)
    wish = Fact(refund_requested(at=7), Place("ORDER_REFUND_REQUESTED", 0, 0))
    assert audit([*sale(), wish], past).orders[ORDER].due == moment(7) + DEADLINE
    facts = changed(refund(), "ORDER_REFUNDED", lambda fact: late(fact, 10))
    told = next(fact for fact in facts if fact.message.type == "ORDER_REFUNDED")
    assert audit(facts, past).orders[ORDER].due == told.at + DEADLINE


@pytest.mark.parametrize(
    ("history", "end"), [(refund(), "ORDER_REFUNDED"), (cancel_paid_late(), "ORDER_CANCELLED")]
)
def test_what_has_to_come_before_an_end_may_not_have_been_read_yet(history: list[AnyFact], end: str) -> None:
    facts = without(history, "INVENTORY_RETURNED", "PAYMENT_REFUNDED")
    behind = {end, "NOTIFICATION_EVENTS", "ANALYTICS_EVENTS"}
    facts = [unjudged(fact) if fact.message.type in behind else fact for fact in facts]
    assert not audit(facts, Limits(now=moment(1), deadline=DEADLINE)).offences


@pytest.mark.parametrize("history", [refund(), cancel_paid_late()])
@pytest.mark.parametrize("wire_name", ["INVENTORY_RETURNED", "PAYMENT_REFUNDED"])
def test_what_has_to_come_before_an_end_may_come_later_by_the_clock(
    history: list[AnyFact], wire_name: str
) -> None:
    facts = changed(history, wire_name, lambda fact: late(fact, 5))
    apart = Limits(now=LATER.now, deadline=DEADLINE, skew=timedelta(seconds=10))
    assert not audit(facts, apart).offences


# 2. Stock adds up and is never negative


def test_stock_that_was_sold_twice_is_found() -> None:
    found = audit(sale(restocked=1))
    assert not found.offences, "the keeper refuses"
    facts = changed(
        sale(), "INVENTORY_RESTOCKED", lambda fact: Fact(replace(fact.message, quantity=1), fact.place)
    )
    found = audit(facts)
    assert found.kinds == {Kind.NEGATIVE_STOCK}
    (offence,) = found.offences
    assert (offence.subject, offence.place) == ("A", Place("INVENTORY_DEDUCTED", 0, 0))
    assert offence.found.startswith("-1 available, 2 reserved")


def test_an_oversale_is_found_at_its_prefix_even_where_a_later_restock_heals_it() -> None:
    facts = changed(sale(), "INVENTORY_RESTOCKED", lambda fact: late(fact, 60))
    found = audit(facts)
    assert found.kinds == {Kind.NEGATIVE_STOCK}
    assert {offence.subject for offence in found.offences} == {"A", "B"}
    assert all(min(each.counters.available, 0) == 0 for each in found.stock.values())


def test_clocks_that_may_differ_by_so_much_prove_nothing() -> None:
    facts = changed(sale(), "INVENTORY_RESTOCKED", lambda fact: late(fact, 5))
    assert audit(facts).kinds == {Kind.NEGATIVE_STOCK}
    apart = Limits(now=LATER.now, deadline=DEADLINE, skew=timedelta(seconds=10))
    assert not audit(facts, apart).offences


def test_stock_given_back_by_one_order_may_be_had_by_the_next() -> None:
    world = World()
    world.append(restock(2))
    world.approved["first"] = False
    for order in ("first", "second"):
        world.append(created(("A", 2), order=order))
        world.drain()
    found = audit(facts_of(world))
    assert not found.offences
    assert str(found.stock["A"].counters) == "0 available, 0 reserved, 2 sold of 2 restocked"


@pytest.mark.parametrize(
    ("history", "wire_name"),
    [(sale, "INVENTORY_SALE_REQUESTED"), (decline, "INVENTORY_RELEASE_REQUESTED")],
)
def test_a_sale_or_a_release_of_more_than_was_reserved_is_found(history: object, wire_name: str) -> None:
    assert callable(history)
    facts = changed(history(), wire_name, lambda fact: Fact(replace(fact.message, quantity=4), fact.place))
    found = audit(facts)
    assert found.kinds == {Kind.STOCK_SUM}
    assert found.offences[0].subject == "A"


def test_more_reserved_than_was_ordered_is_found() -> None:
    facts = changed(
        decline(), "INVENTORY_DEDUCTED", lambda fact: Fact(replace(fact.message, quantity=3), fact.place)
    )
    found = audit(facts)
    assert Kind.WRONG_QUANTITY in found.kinds
    assert "2 of A, as ordered" in {offence.expected for offence in found.offences}


def test_a_sale_without_a_reservation_is_found() -> None:
    facts = refusal()
    asked = next(fact for fact in facts if fact.message.type == "INVENTORY_REQUESTED")
    sold = plant(sale(), "INVENTORY_SALE_REQUESTED", sku="B", causation_id=asked.message.event_id)
    found = audit([*facts, sold])
    assert Kind.SOLD_UNRESERVED in found.kinds
    assert next(each for each in found.offences if each.kind is Kind.SOLD_UNRESERVED).place == sold.place


def test_a_sale_of_a_cancelled_order_and_a_release_of_a_completed_one_are_found() -> None:
    completed, cancelled = sale(), decline()
    charged = next(fact for fact in completed if fact.message.type == "PAYMENT_COMPLETED")
    declined = next(fact for fact in cancelled if fact.message.type == "PAYMENT_FAILED")
    sold = plant(completed, "INVENTORY_SALE_REQUESTED", causation_id=declined.message.event_id)
    given_back = plant(cancelled, "INVENTORY_RELEASE_REQUESTED", causation_id=charged.message.event_id)
    assert audit([*cancelled, sold]).kinds == {Kind.SETTLED_WRONGLY}
    assert audit([*completed, given_back]).kinds == {Kind.SETTLED_WRONGLY}


@pytest.mark.parametrize(
    ("history", "wire_name"),
    [
        (sale(), "INVENTORY_SALE_REQUESTED"),
        (decline(), "INVENTORY_RELEASED"),
        (refusal(), "INVENTORY_INSUFFICIENT"),
    ],
)
def test_stock_that_an_ended_order_keeps_is_found(history: list[AnyFact], wire_name: str) -> None:
    assert Kind.STOCK_LEFT in audit(without(history, wire_name)).kinds


def test_what_was_returned_is_there_to_sell_again() -> None:
    found = audit(refund())
    assert str(found.stock["A"].counters) == "5 available, 0 reserved, 0 sold of 5 restocked"


def test_returned_stock_may_be_had_by_the_next_order_and_not_by_one_before() -> None:
    world = World()
    world.append(restock(2))
    world.append(created(("A", 2), order="first"))
    world.drain()
    world.append(refund_requested(order="first"))
    world.drain()
    world.append(created(("A", 2), order="second"))
    world.drain()
    facts = facts_of(world)
    found = audit(facts)
    assert not found.offences
    assert str(found.stock["A"].counters) == "0 available, 0 reserved, 2 sold of 2 restocked"
    after = ("INVENTORY_RETURN_REQUESTED", "INVENTORY_RETURNED", "PAYMENT_REFUNDED", "ORDER_REFUNDED")
    for wire_name in after:
        facts = changed(facts, wire_name, lambda fact: late(fact, 60))
    found = audit(facts)
    assert found.kinds == {Kind.NEGATIVE_STOCK}
    assert str(found.stock["A"].counters) == "0 available, 0 reserved, 2 sold of 2 restocked"


def test_a_line_may_be_returned_whose_sale_was_never_asked_for() -> None:
    found = audit(without(refund(), "INVENTORY_SALE_REQUESTED"))
    assert not found.offences
    assert str(found.stock["A"].counters) == "5 available, 0 reserved, 0 sold of 5 restocked"


def test_a_line_may_be_returned_before_its_sale_is_asked_for() -> None:
    facts = changed(refund(), "INVENTORY_SALE_REQUESTED", lambda fact: late(fact, 60))
    found = audit(facts)
    assert not found.offences
    assert str(found.stock["A"].counters) == "5 available, 0 reserved, 0 sold of 5 restocked"


def test_a_line_that_is_neither_sold_nor_returned_is_found() -> None:
    gone = ("INVENTORY_SALE_REQUESTED", "INVENTORY_RETURN_REQUESTED", "INVENTORY_RETURNED")
    assert Kind.STOCK_LEFT in audit(in_status_refunding(without(refund(), *gone))).kinds


def test_a_return_of_more_than_was_reserved_is_found() -> None:
    facts = changed(
        refund(),
        "INVENTORY_RETURN_REQUESTED",
        lambda fact: Fact(replace(fact.message, quantity=4), fact.place),
    )
    assert audit(facts).kinds == {Kind.STOCK_SUM}


def test_another_quantity_returned_than_was_ordered_is_found() -> None:
    facts = changed(
        refund(), "INVENTORY_RETURNED", lambda fact: Fact(replace(fact.message, quantity=4), fact.place)
    )
    found = audit(facts)
    assert found.kinds == {Kind.WRONG_QUANTITY}
    assert {each.found for each in found.offences} == {"4 returned"}


def test_a_return_without_a_reservation_is_found() -> None:
    facts = without(refund(), "INVENTORY_DEDUCTED", "INVENTORY_SALE_REQUESTED")
    found = audit(facts)
    assert Kind.SOLD_UNRESERVED in found.kinds
    assert "INVENTORY_DEDUCTED of A before its return" in {each.expected for each in found.offences}


def test_a_return_of_a_cancelled_order_and_a_release_of_a_refunded_one_are_found() -> None:
    refunded, cancelled = refund(), decline()
    wish = Fact(refund_requested(at=0.5), Place("ORDER_REFUND_REQUESTED", 0, 0))
    returning = plant(refunded, "INVENTORY_RETURN_REQUESTED", causation_id=wish.message.event_id, after_s=1)
    found = audit([*cancelled, wish, returning])
    assert found.kinds == {Kind.SETTLED_WRONGLY}
    charged = next(fact for fact in refunded if fact.message.type == "PAYMENT_COMPLETED")
    released = plant(cancelled, "INVENTORY_RELEASE_REQUESTED", causation_id=charged.message.event_id)
    assert audit([*refunded, released]).kinds == {Kind.SETTLED_WRONGLY}


@pytest.mark.parametrize("seconds", [None, 60], ids=["never", "later"])
def test_a_refunded_order_whose_stock_is_not_back_is_found(seconds: float | None) -> None:
    facts = refund()
    facts = (
        changed(facts, "INVENTORY_RETURNED", lambda fact: late(fact, seconds))
        if seconds
        else without(facts, "INVENTORY_RETURNED")
    )
    found = audit(facts)
    assert Kind.STOCK_LEFT in found.kinds
    assert found.kinds <= {Kind.STOCK_LEFT, Kind.NO_CAUSE}


# 3. Orders are charged once, or not at all


def test_a_second_charge_is_found() -> None:
    facts = sale()
    second = plant(facts, "PAYMENT_COMPLETED", event_id="another", charge_id="ch-2")
    found = audit([*facts, second])
    assert found.kinds == {Kind.CHARGED_TWICE}
    assert (found.offences[0].found, found.offences[0].place) == (
        "ch of 3000 EUR, ch-2 of 3000 EUR",
        second.place,
    )


def test_a_second_charge_under_the_same_id_is_found() -> None:
    facts = sale()
    second = plant(facts, "PAYMENT_COMPLETED", charge_id="ch-2")
    assert audit([*facts, second]).kinds == {Kind.CHARGED_TWICE, Kind.SAME_ID}


def test_a_cancelled_order_that_stays_charged_is_found_when_its_refund_is_overdue() -> None:
    facts = without(cancel_paid_late(by_timer=True), "PAYMENT_REFUNDED")
    found = audit(facts)
    assert found.kinds == {Kind.CANCELLED_CHARGED}
    assert found.offences[0].place == Place("PAYMENT_COMPLETED", 0, 0)
    soon = Limits(now=moment(60), deadline=DEADLINE)
    assert not audit(facts, soon).offences


def test_a_second_refund_is_found() -> None:
    facts = cancel_paid_late()
    second = plant(facts, "PAYMENT_REFUNDED", event_id="another", refund_id="re-2")
    assert audit([*facts, second]).kinds == {Kind.REFUNDED_TWICE}


def test_a_refund_without_a_charge_is_found() -> None:
    facts = without(cancel_paid_late(), "PAYMENT_COMPLETED")
    assert Kind.REFUNDED_UNCHARGED in audit(facts).kinds


def test_a_completed_order_without_a_charge_is_found() -> None:
    assert Kind.COMPLETED_UNCHARGED in audit(without(sale(), "PAYMENT_COMPLETED")).kinds


def test_a_refund_of_a_completed_order_is_found() -> None:
    facts, other = sale(), cancel_paid_late()
    paid_for = next(fact for fact in facts if fact.message.type == "PAYMENT_COMPLETED").message.event_id
    asked = plant(other, "PAYMENT_REFUND_REQUESTED", causation_id=paid_for)
    refunded = plant(other, "PAYMENT_REFUNDED", causation_id=asked.message.event_id, amount=3000)
    assert audit([*facts, asked, refunded]).kinds == {Kind.COMPLETED_REFUNDED}


def test_a_second_refund_of_a_completed_order_is_found() -> None:
    facts = refund()
    second = plant(facts, "PAYMENT_REFUNDED", event_id="another", refund_id="re-2")
    assert audit([*facts, second]).kinds == {Kind.REFUNDED_TWICE}


@pytest.mark.parametrize("seconds", [None, 60], ids=["never", "later"])
def test_a_refunded_order_whose_money_is_not_back_is_found(seconds: float | None) -> None:
    facts = refund(failures=1)
    facts = (
        changed(facts, "PAYMENT_REFUNDED", lambda fact: late(fact, seconds))
        if seconds
        else without(facts, "PAYMENT_REFUNDED")
    )
    found = audit(facts)
    assert Kind.REFUNDED_CHARGED in found.kinds
    assert found.kinds <= {Kind.REFUNDED_CHARGED, Kind.NO_CAUSE}
    (offence,) = (each for each in found.offences if each.kind is Kind.REFUNDED_CHARGED)
    assert offence.place == Place("ORDER_REFUNDED", 0, 0)
    assert ("PAYMENT_REFUND_DELAYED" in offence.found) is (seconds is None)


def test_a_refunded_order_that_was_never_charged_is_found() -> None:
    kinds = audit(without(refund(), "PAYMENT_COMPLETED")).kinds
    assert {Kind.COMPLETED_UNCHARGED, Kind.REFUNDED_UNCHARGED} <= kinds


@pytest.mark.parametrize(
    ("wire_name", "field"), [("PAYMENT_REFUNDED", "amount"), ("ORDER_REFUNDED", "total")]
)
def test_a_refund_in_part_is_found(wire_name: str, field: str) -> None:
    facts = changed(
        refund(), wire_name, lambda fact: Fact(replace(fact.message, **{field: 2999}), fact.place)
    )
    found = audit(facts)
    assert found.kinds == {Kind.WRONG_AMOUNT}
    assert found.offences[0].found == f"{wire_name} of 2999 EUR"


def test_an_order_its_customer_cancelled_must_not_end_before_its_money_is_back() -> None:
    facts = changed(cancel_paid_late(), "PAYMENT_REFUNDED", lambda fact: late(fact, 60))
    found = audit(facts)
    assert found.kinds == {Kind.CANCELLED_CHARGED}
    assert found.offences[0].place == Place("ORDER_CANCELLED", 0, 0)
    by_timer = changed(cancel_paid_late(by_timer=True), "PAYMENT_REFUNDED", lambda fact: late(fact, 60))
    assert not audit(by_timer).offences


def test_a_charge_that_was_called_back_and_never_answered_is_found() -> None:
    facts = without(withdrawal(), "PAYMENT_FAILED", "PAYMENT_REQUESTED")
    assert Kind.CHARGE_UNKNOWN in audit(facts).kinds


@pytest.mark.parametrize(("wire_name", "amount"), [("PAYMENT_COMPLETED", 2999), ("PAYMENT_REFUNDED", 1)])
def test_another_sum_than_the_order_s_total_is_found(wire_name: str, amount: int) -> None:
    facts = changed(
        cancel_paid_late(), wire_name, lambda fact: Fact(replace(fact.message, amount=amount), fact.place)
    )
    found = audit(facts)
    assert found.kinds == {Kind.WRONG_AMOUNT}
    assert found.offences[0].expected == "2000 EUR"


def test_a_cancelled_order_whose_charge_was_never_answered_is_found() -> None:
    money = ("PAYMENT_COMPLETED", "PAYMENT_REFUND_REQUESTED", "PAYMENT_REFUNDED")
    facts = without(cancel_paid_late(by_timer=True), *money)
    assert audit(facts).kinds == {Kind.CHARGE_UNKNOWN}


# 4. Events have a cause, and an id of their own


def test_an_event_without_its_cause_is_found() -> None:
    found = audit(without(decline(), "PAYMENT_REQUESTED"))
    assert found.kinds == {Kind.NO_CAUSE}
    wanted = "the PAYMENT_REQUESTED or PAYMENT_REFUND_REQUESTED that led to PAYMENT_FAILED"
    assert found.offences[0].expected == wanted
    assert found.offences[0].place == Place("PAYMENT_FAILED", 0, 0)


def test_an_answer_to_something_else_is_found() -> None:
    facts = sale()
    root = next(fact for fact in facts if fact.message.type == "ORDER_CREATED").message.event_id
    wrong = changed(
        facts, "PAYMENT_COMPLETED", lambda fact: Fact(replace(fact.message, causation_id=root), fact.place)
    )
    assert audit(wrong).kinds == {Kind.NO_CAUSE}


def test_events_that_are_each_other_s_cause_are_found() -> None:
    def round_in_a_circle(fact: AnyFact) -> AnyFact:
        return Fact(replace(fact.message, causation_id=fact.message.event_id), fact.place)

    found = audit(changed(sale(), "PAYMENT_REQUESTED", round_in_a_circle))
    assert found.kinds == {Kind.NO_CAUSE}
    assert {each.found for each in found.offences} == {"it goes round in a circle"}


@pytest.mark.parametrize("stray", [paid(), deducted(), insufficient()])
def test_events_of_an_order_that_nobody_placed_are_found(stray: Message) -> None:
    found = audit([Fact(stray, Place(stray.type, 0, 7))])
    (offence,) = found.orders[ORDER].offences
    assert (offence.kind, offence.place) == (Kind.NO_ORDER, Place(stray.type, 0, 7))


@pytest.mark.parametrize("call", [cancel_requested(), refund_requested()])
def test_a_call_about_an_unknown_order_is_no_offence_as_nothing_comes_of_it(call: Message) -> None:
    assert not audit([Fact(call, Place(call.type, 0, 0))]).offences


def test_an_event_of_another_conversation_is_found() -> None:
    facts = changed(
        sale(), "PAYMENT_REQUESTED", lambda fact: Fact(replace(fact.message, correlation_id="x"), fact.place)
    )
    assert audit(facts).kinds == {Kind.OTHER_CORRELATION}


def test_one_id_with_two_contents_is_found() -> None:
    facts = sale()
    second = plant(facts, "ORDER_CREATED", total=1)
    found = audit([*facts, second])
    assert found.kinds == {Kind.SAME_ID}
    assert found.offences[0].found == "ORDER_CREATED: total 1, not 3000"
    assert found.offences[0].place == second.place


def test_a_restock_that_is_told_in_two_ways_is_found_and_counts_as_first_told() -> None:
    told = restock(5)
    other = replace(told, quantity=7, recorded_at=moment(3))
    assert isinstance(told, InventoryRestocked)
    found = audit([Fact(told, Place(told.type, 0, 0)), Fact(other, Place(told.type, 0, 1))])
    assert found.kinds == {Kind.SAME_ID}
    assert found.stock["A"].counters.restocked == 5


def test_a_wish_with_a_key_that_two_workers_took_in_is_no_offence_and_counts_once() -> None:
    told = restock(5)
    again = replace(told, occurred_at=moment(2), recorded_at=moment(3))
    found = audit([Fact(told, Place(told.type, 0, 0)), Fact(again, Place(told.type, 0, 1))])
    assert not found.offences
    assert found.stock["A"].counters.restocked == 5
    facts = sale()
    second = plant(
        facts, "ORDER_CREATED", event_id="another", causation_id="another", occurred_at=moment(2), total=1
    )
    assert not audit([*facts, second]).offences


def test_a_release_that_is_answered_anew_may_have_another_time_and_cause() -> None:
    facts = decline()
    asked = plant(facts, "INVENTORY_RELEASE_REQUESTED", event_id="another")
    answered = plant(facts, "INVENTORY_RELEASED", causation_id="another", occurred_at=moment(9))
    assert not audit([*facts, asked, answered]).offences
    assert audit([*facts, plant(facts, "INVENTORY_RELEASED", quantity=9)]).kinds == {Kind.SAME_ID}


def test_a_charge_may_be_called_back_before_it_is_asked_for() -> None:
    facts = withdrawal()
    asked = next(fact for fact in facts if fact.message.type == "PAYMENT_REFUND_REQUESTED")
    failed = next(fact for fact in facts if fact.message.type == "PAYMENT_FAILED")
    assert failed.message.causation_id == asked.message.event_id
    assert not audit(changed(facts, "PAYMENT_REQUESTED", lambda fact: late(fact, 60))).offences
    assert not audit(without(facts, "PAYMENT_REQUESTED")).offences


@pytest.mark.parametrize(
    ("history", "wire_name"),
    [
        (withdrawal(), "PAYMENT_FAILED"),
        (refund(), "PAYMENT_REFUNDED"),
        (refund(failures=1), "PAYMENT_REFUND_DELAYED"),
        (refund(), "INVENTORY_RETURNED"),
        (refund(), "INVENTORY_RETURN_REQUESTED"),
    ],
)
def test_what_takes_an_order_back_is_caused_by_what_asks_for_it(
    history: list[AnyFact], wire_name: str
) -> None:
    root = next(fact for fact in history if fact.message.type == "ORDER_CREATED").message.event_id
    wrong = changed(
        history, wire_name, lambda fact: Fact(replace(fact.message, causation_id=root), fact.place)
    )
    found = audit(wrong)
    assert found.kinds == {Kind.NO_CAUSE}
    assert {each.found for each in found.offences} == {"ORDER_CREATED"}


def test_a_timer_that_names_a_cause_of_its_own_making_is_found() -> None:
    facts = timeout()
    released = next(fact for fact in facts if fact.message.type == "INVENTORY_RELEASED").message.event_id
    wrong = changed(
        facts, "ORDER_TIMED_OUT", lambda fact: Fact(replace(fact.message, causation_id=released), fact.place)
    )
    found = audit(wrong)
    assert found.kinds == {Kind.NO_CAUSE}
    assert "it goes round in a circle" in {each.found for each in found.offences}


def test_every_kind_of_offence_belongs_to_one_rule() -> None:
    listed = [kind for kinds in RULES.values() for kind in kinds]
    assert sorted(listed) == sorted(Kind)
