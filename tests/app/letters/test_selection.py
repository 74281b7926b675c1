from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import LettersRefused
from app.letters.letter import LIGHT_BYTES, LetterId, Source
from app.letters.selection import Wanted, held_back, moment_of, newest, next_round, oldest
from tests.app.letters.letters import START, letter

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(topic="ORDER_CREATED"),
        Wanted(key="order-7"),
        Wanted(order="order-7"),
        Wanted(error="json is"),
        Wanted(since=START + timedelta(seconds=7)),
        Wanted(topic="ORDER_CREATED", key="order-7", error="malformed"),
    ],
)
def test_a_letter_that_passes_every_filter_is_meant(wanted: Wanted) -> None:
    assert letter(7) in wanted


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(topic="ORDER"),
        Wanted(key="order"),
        Wanted(order="order-8"),
        Wanted(error="no value"),
        Wanted(since=START + timedelta(seconds=8)),
        Wanted(topic="ORDER_CREATED", key="order-8"),
    ],
)
def test_a_letter_that_fails_one_filter_is_not_meant(wanted: Wanted) -> None:
    assert letter(7) not in wanted


def test_a_request_for_stock_is_found_by_the_order_that_it_names_though_it_can_not_be_read() -> None:
    assert letter(key=b"sku-1", value=b'{"order_id": "order-9", \xff') in Wanted(order="order-9")


def test_a_letter_without_a_source_is_of_no_topic() -> None:
    assert letter(source=None) not in Wanted(topic="ORDER_CREATED")
    assert letter(source=None) in Wanted()


def test_a_page_has_the_newest_letters_newest_last_and_no_large_values() -> None:
    large = letter(4, value=b"x" * (LIGHT_BYTES + 1))
    letters = [large, letter(6), letter(1, partition=1), letter(5, partition=1)]
    page = newest(letters, Wanted(), 3)
    assert [str(each.id) for each in page.letters] == ["0:4", "1:5", "0:6"]
    assert page.of == 4
    assert [(each.value, each.whole) for each in page.letters] == [(None, False), (b"{", True), (b"{", True)]


def test_the_page_before_ends_where_the_other_begins() -> None:
    letters = [letter(number) for number in range(5)]
    page = newest(letters, Wanted(), 2)
    before = newest(letters, Wanted(), 2, page.letters[0])
    assert [each.id.offset for each in (*before.letters, *page.letters)] == [1, 2, 3, 4]
    assert before.of == 3


def test_the_oldest_of_a_key_are_taken_first() -> None:
    letters = [letter(number, key=b"same") for number in range(5)]
    page = oldest(letters, Wanted(), 3)
    assert ([each.id.offset for each in page.letters], page.of) == ([0, 1, 2], 5)


def test_a_letter_is_held_back_by_an_earlier_one_of_its_key() -> None:
    first, other, second = letter(1, key=b"a"), letter(2, key=b"b"), letter(3, key=b"a")
    assert held_back([second, other], [first, other, second]) == {second.id: first.id}


def test_a_letter_is_not_held_back_by_one_that_goes_with_it() -> None:
    first, second = letter(1, key=b"a"), letter(3, key=b"a")
    assert held_back([first, second], [first, second]) == {}


def test_a_letter_is_not_held_back_by_a_later_one_or_by_another_key_s() -> None:
    mine = letter(3, key=b"a")
    assert held_back([mine], [letter(1, key=b"b"), mine, letter(4, key=b"a")]) == {}


def test_a_letter_is_not_held_back_by_its_own_double() -> None:
    double = letter(1, key=b"a")
    again = replace(double, id=LetterId(0, 5))
    assert held_back([again], [double]) == {}


def test_a_letter_is_held_back_by_an_earlier_one_that_came_back_behind_it() -> None:
    second, again = letter(2, key=b"a"), letter(9, key=b"a", first=LetterId(0, 1))
    third = letter(3, key=b"a")
    assert held_back([second, third], [second, third, again]) == {second.id: again.id, third.id: again.id}
    assert held_back([again], [second, third, again]) == {}


def test_of_each_key_one_goes_at_a_time_and_what_came_back_has_its_turn() -> None:
    second, other, third = letter(2, key=b"a"), letter(3, key=b"b"), letter(4, key=b"a")
    again, free, too = letter(9, key=b"a", first=LetterId(0, 1)), letter(5, key=None), letter(6, key=None)
    going, waiting = next_round([second, other, third, free, too, again])
    assert (going, waiting) == ([other, free, too, again], [second, third])
    assert next_round(waiting) == ([second], [third])
    assert next_round([third]) == ([third], [])
    twice = letter(10, key=b"a", first=LetterId(0, 1))
    assert next_round([again, twice]) == ([again], [twice])


def test_letters_without_a_key_have_no_order() -> None:
    assert held_back([letter(3, key=None)], [letter(1, key=None)]) == {}


def test_a_key_of_another_partition_is_another_key() -> None:
    source = Source("ORDER_CREATED", 1, 1)
    assert held_back([letter(3, key=b"a")], [letter(1, partition=1, key=b"a", source=source)]) == {}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2024-03-01T00:00:00Z", START),
        ("2024-03-01T01:00:00+01:00", START),
        ("2024-03-01", START),
    ],
)
def test_a_time_is_given_as_it_is_or_as_how_long_ago(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "2", "h", "2w", "yesterday", "1h30m", "999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(LettersRefused, match=r"--since .*: expected a time such as"):
        moment_of(text, NOW)
