from typing import Any, cast

import pytest

from app.delivery.deadletters import MAX_VALUE_BYTES, DeadLetter
from app.errors import LettersRefused
from app.letters.letter import LetterId, Source, letter_of
from tests.app.delivery.fakes import RECORDED, Record


class Written(Record):
    """Be a record of DEAD_LETTERS."""

    pairs: Any = None

    def headers(self) -> Any:
        return self.pairs


def buried(value: bytes | None = b"{", **changed: Any) -> Any:
    record = DeadLetter(
        topic="ORDER_CREATED", partition=3, offset=7, key=b"k", value=value, recorded_ms=0, error="no JSON"
    ).record()
    written = Written(5, record["value"], record["key"], 3, **changed)
    written.pairs = record["headers"]
    return written


def test_a_letter_is_what_delivery_has_buried() -> None:
    found = letter_of(buried())
    assert (str(found.id), found.at) == ("3:5", RECORDED)
    assert found.source == Source("ORDER_CREATED", 3, 7)
    assert (found.key, found.value, found.error, found.left_out) == (b"k", b"{", "no JSON", 0)


def test_a_letter_without_room_for_its_record_says_how_large_that_is() -> None:
    found = letter_of(buried(b"x" * MAX_VALUE_BYTES))
    assert (found.key, found.value, found.left_out) == (None, None, MAX_VALUE_BYTES + 1)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [("source_topic", b"ORDER_CREATED")],
        [("source_topic", b"ORDER_CREATED"), ("source_partition", b"x"), ("source_offset", b"1")],
        [("source_topic", None), ("source_partition", b"1"), ("source_offset", b"1")],
        [("source_topic", b""), ("source_partition", b"1"), ("source_offset", b"1")],
    ],
)
def test_a_letter_of_somebody_elses_making_is_known_by_its_own_place(headers: Any) -> None:
    record = buried()
    record.pairs = headers
    found = letter_of(cast("Any", record))
    assert (found.source, found.name) == (None, b"3:5")


def test_the_same_record_buried_twice_has_one_name() -> None:
    record = buried()
    again = buried()
    again.number = 6
    assert letter_of(record).id != letter_of(again).id
    assert letter_of(record).name == letter_of(again).name == b"ORDER_CREATED/3/7"


def test_an_id_reads_as_it_is_shown() -> None:
    assert LetterId.parse("3:17") == (3, 17)
    assert str(LetterId(3, 17)) == "3:17"


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "3:x", "-1:2", "3:1:2", "3 : 1"])
def test_what_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(LettersRefused, match="no letter's id: expected PARTITION:OFFSET"):
        LetterId.parse(text)
