from datetime import timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from models.commands import RequestInventoryReturn
from models.messages import Message
from models.stock import (
    FORGET_AFTER,
    REMEMBER_RESTOCKS,
    SKEW,
    Hold,
    HoldStatus,
    Stock,
    StockItem,
    StockMessage,
    holder_of,
    is_forgettable,
    keep,
)
from tests.models.scenario import (
    Shelf,
    ask,
    give_back,
    keeper,
    moment,
    restock,
    run_keeper,
    sell,
    take_back,
    tidy_keeper,
)

DAY = REMEMBER_RESTOCKS.total_seconds()
SKEW_S = SKEW.total_seconds()
FORGET_S = FORGET_AFTER.total_seconds()


def counts_after(*messages: StockMessage) -> tuple[int, int, int, int]:
    return keeper.given(*messages).state.counts


# What it does


def test_goods_that_arrive_are_there_to_sell() -> None:
    keeper.given().when(restock(10)).then()
    assert counts_after(restock(10)) == (10, 0, 0, 10)


def test_a_request_is_reserved_and_told() -> None:
    keeper.given(restock(10)).when(ask(3)).then("INVENTORY_DEDUCTED A x3")
    assert counts_after(restock(10), ask(3)) == (7, 3, 0, 10)


def test_the_last_piece_can_be_had_and_no_more() -> None:
    story = keeper.given(restock(2), ask(2, order="one"))
    story.when(ask(1, order="two")).then("INVENTORY_INSUFFICIENT A x1")
    assert story.given(ask(1, order="two")).state.counts == (0, 2, 0, 2)


def test_a_request_of_an_unknown_sku_is_refused_and_leaves_nothing() -> None:
    keeper.given().when(ask()).then("INVENTORY_INSUFFICIENT A x1").and_nothing_changed()


def test_a_refused_request_leaves_no_row() -> None:
    assert not keeper.given(restock(1, name="d"), ask(2)).state.holds.keys() - {restock(1, name="d").event_id}


def test_a_released_line_is_there_to_sell_again() -> None:
    keeper.given(restock(10), ask(3)).when(give_back(3)).then("INVENTORY_RELEASED A x3")
    assert counts_after(restock(10), ask(3), give_back(3)) == (10, 0, 0, 10)


def test_a_sold_line_is_counted_and_nothing_said() -> None:
    keeper.given(restock(10), ask(3)).when(sell(3)).then()
    assert counts_after(restock(10), ask(3), sell(3)) == (7, 0, 3, 10)


def test_each_answer_names_its_cause() -> None:
    (told,) = keeper.given(restock()).when(ask(at=1)).messages
    assert (told.causation_id, told.correlation_id, told.occurred_at) == (
        ask().event_id,
        ask().correlation_id,
        moment(1),
    )
    (told,) = keeper.given(restock(), ask(at=1)).when(give_back(at=2)).messages
    assert (told.causation_id, told.occurred_at) == (give_back().event_id, moment(2))


# Repeats


def test_a_repeated_request_is_answered_in_the_same_words_and_counted_once() -> None:
    first = keeper.given(restock(10)).when(ask(3, at=1))
    again = keeper.given(restock(10), ask(3, at=1)).when(ask(3, at=5)).and_nothing_changed()
    assert again.messages == first.messages


def test_a_repeated_release_is_answered_in_the_same_words_and_counted_once() -> None:
    first = keeper.given(restock(10), ask(3)).when(give_back(3, at=2))
    again = (
        keeper.given(restock(10), ask(3), give_back(3, at=2)).when(give_back(3, at=6)).and_nothing_changed()
    )
    assert again.messages == first.messages


def test_a_repeated_sale_is_counted_once() -> None:
    keeper.given(restock(10), ask(3), sell(3)).when(sell(3, at=9)).then_nothing_happened()


def test_a_repeated_restock_is_counted_once() -> None:
    keeper.given(restock(10)).when(restock(10, at=60)).then_nothing_happened()


def test_two_deliveries_of_the_same_size_are_both_counted() -> None:
    assert counts_after(restock(10, name="monday"), restock(10, name="tuesday")) == (20, 0, 0, 20)


def test_a_request_refused_once_may_be_granted_when_it_comes_again() -> None:
    story = keeper.given(restock(1), ask(2, at=1), restock(5, name="next", at=2))
    story.when(ask(2, at=3)).then("INVENTORY_DEDUCTED A x2")


def test_two_refusals_of_one_request_have_ids_of_their_own() -> None:
    first = keeper.given(restock(1)).when(ask(2, at=1))
    second = keeper.given(restock(1), ask(2, at=1)).when(ask(2, at=3))
    assert first.ids != second.ids


# Out of order


def test_a_release_before_its_request_has_the_late_request_refused() -> None:
    story = keeper.given(restock(10))
    story.when(give_back(3, at=2)).then("INVENTORY_RELEASED A x3")
    story.given(give_back(3, at=2)).when(ask(3, at=1)).then("INVENTORY_RELEASED A x3").and_nothing_changed()


def test_a_release_before_its_request_and_before_any_stock_has_the_late_request_refused() -> None:
    story = keeper.given(give_back(3, at=2), restock(10, at=3))
    story.when(ask(3, at=1)).then("INVENTORY_RELEASED A x3")
    assert story.given(ask(3, at=1)).state.counts == (10, 0, 0, 10)


def test_of_two_restocks_under_one_id_the_first_in_the_log_counts_whatever_the_other_says() -> None:
    story = keeper.given(restock(10))
    story.when(restock(7, at=1)).then_nothing_happened()


def test_a_late_repeat_of_a_request_after_its_sale_does_nothing() -> None:
    keeper.given(restock(10), ask(3), sell(3)).when(ask(3, at=9)).then_nothing_happened()


def test_a_late_repeat_of_a_request_after_its_release_is_refused() -> None:
    story = keeper.given(restock(10), ask(3), give_back(3))
    story.when(ask(3, at=9)).then("INVENTORY_RELEASED A x3").and_nothing_changed()


def test_a_sale_without_a_reservation_does_nothing() -> None:
    keeper.given(restock(10)).when(sell(3)).then_nothing_happened()
    keeper.given().when(sell(3)).then_nothing_happened()


def test_a_sale_after_the_release_does_nothing() -> None:
    keeper.given(restock(10), ask(3), give_back(3)).when(sell(3)).then_nothing_happened()


def test_a_release_after_the_sale_does_nothing() -> None:
    keeper.given(restock(10), ask(3), sell(3)).when(give_back(3)).then_nothing_happened()


@pytest.mark.parametrize("turn", list(permutations((restock(10), ask(3, at=1), give_back(3, at=2)))))
def test_in_any_order_what_was_asked_and_given_back_is_not_held(turn: tuple[StockMessage, ...]) -> None:
    assert counts_after(*turn) == (10, 0, 0, 10)
    assert counts_after(*turn, *turn) == (10, 0, 0, 10)


# Returns


def test_a_sold_line_that_is_returned_is_there_to_sell_again() -> None:
    story = keeper.given(restock(10), ask(3), sell(3))
    story.when(take_back(3)).then("INVENTORY_RETURNED A x3")
    assert story.given(take_back(3)).state.counts == (10, 0, 0, 10)


def test_a_line_that_is_returned_before_its_sale_is_counted_is_not_sold_any_more() -> None:
    story = keeper.given(restock(10), ask(3))
    story.when(take_back(3)).then("INVENTORY_RETURNED A x3")
    story.given(take_back(3)).when(sell(3)).then_nothing_happened()
    assert story.given(take_back(3), sell(3)).state.counts == (10, 0, 0, 10)


def test_a_repeated_return_is_answered_in_the_same_words_and_counted_once() -> None:
    first = keeper.given(restock(10), ask(3), sell(3)).when(take_back(3, at=3))
    story = keeper.given(restock(10), ask(3), sell(3), take_back(3, at=3))
    again = story.when(take_back(3, at=9)).and_nothing_changed()
    assert again.messages == first.messages


def test_a_line_is_returned_long_after_the_mark_of_its_sale_was_forgotten() -> None:
    story = tidy_keeper.given(restock(10), ask(3), sell(3), ask(1, order="other", at=DAY))
    assert "order-1" not in story.state.holds
    story.when(take_back(3, at=DAY)).then("INVENTORY_RETURNED A x3")
    assert story.given(take_back(3, at=DAY)).state.counts == (9, 1, 0, 10)


def test_a_return_is_recognised_for_ever() -> None:
    story = tidy_keeper.given(restock(10), ask(3), sell(3), ask(1, order="other", at=DAY))
    story = story.given(
        sell(1, order="other", at=DAY), take_back(3, at=DAY), ask(1, order="late", at=9 * DAY)
    )
    assert "other" not in story.state.holds
    story.when(take_back(3, at=9 * DAY)).then("INVENTORY_RETURNED A x3").and_nothing_changed()


def test_a_late_repeat_of_a_request_after_its_return_does_nothing() -> None:
    story = keeper.given(restock(10), ask(3), sell(3), take_back(3))
    for late in (ask(3, at=9), sell(3, at=9), give_back(3, at=9)):
        story.when(late).then_nothing_happened()


def test_more_than_was_ever_sold_is_not_returned() -> None:
    keeper.given().when(take_back(3)).then_nothing_happened()
    keeper.given(restock(10)).when(take_back(3)).then_nothing_happened()


# Forgetting


def test_a_reservation_is_kept_however_old_it_is() -> None:
    shelf = tidy_keeper.given(restock(10), ask(1, at=1), ask(1, order="other", at=100_000)).state
    assert {"order-1", "other"} < set(shelf.holds)


@pytest.mark.parametrize("settle", [sell(3, at=2), give_back(3, at=2)], ids=["sold", "released"])
def test_a_mark_is_kept_until_the_requests_were_read_well_past_it(settle: StockMessage) -> None:
    story = tidy_keeper.given(restock(10), ask(3, at=1), settle)
    assert "order-1" in story.given(ask(1, order="other", at=2 + FORGET_S)).state.holds
    assert "order-1" not in story.given(ask(1, order="other", at=2.001 + FORGET_S)).state.holds


def test_an_old_request_read_again_after_its_mark_was_forgotten_reserves_nothing() -> None:
    story = tidy_keeper.given(restock(10), ask(3, at=1), sell(3, at=2), ask(1, order="other", at=60))
    assert story.given(ask(3, at=1)).state.counts == (6, 1, 3, 10)


def test_the_latest_possible_repeat_of_a_request_is_recognised_even_when_its_mark_is_forgotten() -> None:
    """Its order was settled at 2, the repeat came SKEW later, and is itself read again."""
    late = ask(3, at=2 + SKEW_S)
    story = tidy_keeper.given(restock(10), ask(3, at=1), sell(3, at=2), late)
    just_forgotten = story.given(ask(1, order="other", at=2.001 + FORGET_S))
    assert "order-1" not in just_forgotten.state.holds
    assert just_forgotten.given(late).state.counts == (6, 1, 3, 10)


def test_a_release_read_again_after_its_mark_was_forgotten_says_the_same_as_the_first_time() -> None:
    first = keeper.given(restock(10), ask(3, at=1)).when(give_back(3, at=2))
    story = tidy_keeper.given(restock(10), ask(3, at=1), give_back(3, at=2), ask(1, order="other", at=60))
    again = story.when(give_back(3, at=2)).and_nothing_changed()
    assert again.messages == first.messages


def test_a_refused_request_read_again_is_refused_again_however_old_it_is() -> None:
    """A crash after the state was saved and before the refusal was sent: nobody has heard it yet."""
    story = tidy_keeper.given(restock(1), ask(2, at=1), ask(1, order="other", at=60))
    story.when(ask(2, at=1)).then("INVENTORY_INSUFFICIENT A x2").and_nothing_changed()


def test_a_restock_is_recognised_for_a_day() -> None:
    story = tidy_keeper.given(restock(10), restock(1, name="next", at=DAY - 1))
    story.when(restock(10, at=DAY)).then_nothing_happened()


def test_a_restock_read_again_after_its_mark_was_forgotten_is_not_counted() -> None:
    story = tidy_keeper.given(restock(10), restock(1, name="next", at=DAY + 60))
    assert len(story.state.holds) == 1
    story.when(restock(10)).then_nothing_happened()


def test_a_repeat_of_a_restock_that_came_in_time_is_not_counted_when_it_is_read_again() -> None:
    """The repeat came within the day and was recognised; a crash later has it read once more."""
    late = restock(10, at=DAY - 60)
    story = tidy_keeper.given(restock(10), late, restock(1, name="next", at=DAY + 1))
    assert story.given(late).state.counts == (11, 0, 0, 11)


def test_nothing_is_forgotten_while_no_request_has_been_read() -> None:
    item = StockItem(sku="A")
    assert not any(is_forgettable(status, moment(0), item) for status in HoldStatus)


# Crashes: rows kept, counters lost


def keep_all(shelf: Shelf, *messages: StockMessage) -> Shelf:
    for message in messages:
        shelf, _ = run_keeper(shelf, message)
    return shelf


def crash(before: Shelf, *messages: StockMessage, rows: int) -> Shelf:
    """Return what a crash leaves of a batch of which this many rows were saved, but not the counters."""
    shelf, saved = before, dict(before.holds)
    for number, message in enumerate(messages):
        shelf, _ = run_keeper(shelf, message)
        if number < rows and holder_of(message) in shelf.holds:
            saved[holder_of(message)] = shelf.holds[holder_of(message)]
    return Shelf(before.item, saved)


BATCH = (
    ask(1, order="one", at=1),
    ask(2, order="two", at=2),
    sell(1, order="one", at=3),
    restock(5, name="next", at=4),
)


@pytest.mark.parametrize("rows", range(len(BATCH) + 1))
def test_after_a_crash_the_same_input_in_the_same_order_comes_to_the_same(rows: int) -> None:
    before = keep_all(Shelf(), restock(10))
    whole = keep_all(before, *BATCH)
    assert keep_all(crash(before, *BATCH, rows=rows).recovered(), *BATCH) == whole


@pytest.mark.parametrize("rows", range(len(BATCH) + 1))
@pytest.mark.parametrize("place", range(len(BATCH)))
def test_after_a_crash_and_recovery_the_delivery_may_come_at_any_place(rows: int, place: int) -> None:
    before = keep_all(Shelf(), restock(10))
    found = crash(before, *BATCH, rows=rows).recovered()
    again: list[StockMessage] = [*BATCH[:-1]]
    again.insert(place, BATCH[-1])
    assert keep_all(found, *again).counts == (12, 2, 1, 15)


def test_what_comes_first_this_time_does_not_hide_what_was_saved() -> None:
    """Two topics, so another order: the delivery is read before the request whose row was saved."""
    before = keep_all(Shelf(), restock(10))
    broken = crash(before, ask(1, at=1), restock(5, name="next", at=2), rows=1)
    assert keep_all(broken.recovered(), restock(5, name="next", at=2), ask(1, at=1)).counts == (14, 1, 0, 15)


def test_new_input_between_two_saved_rows_does_not_hide_the_second() -> None:
    before = keep_all(Shelf(), restock(10))
    batch = (ask(1, order="one", at=1), ask(2, order="two", at=2))
    broken = crash(before, *batch, rows=2)
    assert keep_all(broken.recovered(), batch[0], restock(5, name="next"), batch[1]).counts == (12, 3, 0, 15)


# Size and speed of growth


def test_a_hundred_thousand_open_reservations_leave_every_record_small() -> None:
    stock = Stock(item=StockItem(sku="A", available=100_000, restocked=100_000), hold=None)
    template = ask(1, at=1)
    biggest = 0
    for number in range(100_000):
        message = replace(template, order_id=f"order-{number}")
        stock, _ = keep(Stock(item=stock.item, hold=None), message)
        if number % 1000 == 0 or number == 99_999:
            assert stock.hold is not None
            records: tuple[StockItem | Hold | None, ...] = (stock.item, stock.hold)
            sizes = [len(json.encode(each)) for each in records if each is not None]
            biggest = max(biggest, *sizes)
    assert stock.item is not None
    assert (stock.item.available, stock.item.reserved) == (0, 100_000)
    assert biggest < 64 * 1024


# Whatever comes

ORDERS = ("one", "two", "three")
MESSAGES: tuple[StockMessage, ...] = (
    *(ask(quantity, order=order) for quantity, order in zip((1, 2, 3), ORDERS, strict=True)),
    *(give_back(quantity, order=order) for quantity, order in zip((1, 2, 3), ORDERS, strict=True)),
    *(sell(quantity, order=order) for quantity, order in zip((1, 2, 3), ORDERS, strict=True)),
    *(take_back(quantity, order=order) for quantity, order in zip((1, 2, 3), ORDERS, strict=True)),
    restock(2, name="monday"),
    restock(3, name="tuesday"),
)


def assert_sound(shelf: Shelf) -> None:
    available, reserved, sold, restocked = shelf.counts
    assert min(shelf.counts) >= 0, shelf
    assert restocked == available + reserved + sold, shelf
    rows = shelf.holds.values()
    assert reserved == sum(hold.quantity for hold in rows if hold.status is HoldStatus.RESERVED), shelf
    assert sold == sum(hold.quantity for hold in rows if hold.status is HoldStatus.SOLD), shelf


@any_of(st.lists(st.sampled_from(MESSAGES), max_size=25))
@settings(deadline=None, max_examples=200)
def test_whatever_comes_in_whatever_order_nothing_is_negative_and_nothing_is_lost(
    messages: list[StockMessage],
) -> None:
    shelf = Shelf()
    for number, message in enumerate(messages):
        if isinstance(message, RequestInventoryReturn) and message.order_id not in shelf.holds:
            continue  # only an order that was completed is taken back
        shelf, _ = run_keeper(shelf, replace(message, recorded_at=moment(number / 10)))
        assert_sound(shelf)


@any_of(st.lists(st.tuples(st.sampled_from(MESSAGES), st.integers(1, 3)), max_size=20))
@settings(deadline=None, max_examples=200)
def test_a_message_read_several_times_is_worth_one(messages: list[tuple[StockMessage, int]]) -> None:
    once, often = Shelf(), Shelf()
    for number, (message, times) in enumerate(messages):
        dated = replace(message, recorded_at=moment(number / 10))
        once, first = run_keeper(once, dated)
        for _ in range(times):
            often, answers = run_keeper(often, dated)
            assert answers == first or answers[0].type == first[0].type == "INVENTORY_INSUFFICIENT"
        assert often == once


@any_of(st.lists(st.sampled_from(MESSAGES), max_size=25))
@settings(deadline=None, max_examples=200)
def test_one_id_of_an_answer_always_has_one_payload(messages: list[StockMessage]) -> None:
    shelf, payloads = Shelf(), dict[str, Message]()
    for number, message in enumerate(messages):
        shelf, answers = run_keeper(shelf, replace(message, recorded_at=moment(number / 10)))
        for answer in answers:
            assert payloads.setdefault(answer.event_id, answer) == answer


@any_of(st.lists(st.sampled_from(MESSAGES), max_size=25))
@settings(deadline=None, max_examples=100)
def test_the_sequence_grows_by_one_with_each_change_of_the_counters(messages: list[StockMessage]) -> None:
    shelves = [Shelf()]
    for number, message in enumerate(messages):
        shelves.append(run_keeper(shelves[-1], replace(message, recorded_at=moment(number / 10)))[0])
    for before, after in pairwise(shelves):
        steps = (after.item.sequence if after.item else 0) - (before.item.sequence if before.item else 0)
        assert steps == (before.counts != after.counts)


def test_the_limits_leave_room_for_the_latest_repeat() -> None:
    assert FORGET_AFTER >= 2 * SKEW > timedelta(0)
