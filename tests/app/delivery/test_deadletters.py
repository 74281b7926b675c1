from typing import Any, cast

import pytest

from app.delivery.batch import MAX_RECORD_BYTES, Batch
from app.delivery.deadletters import MAX_ERROR_CHARACTERS, MAX_VALUE_BYTES, DeadLetter
from app.delivery.state import State


def letter(value: bytes, error: str = "no JSON") -> DeadLetter:
    return DeadLetter(
        topic="ORDER_CREATED", partition=3, offset=7, key=b"k", value=value, recorded_ms=0, error=error
    )


def test_a_dead_letter_keeps_key_and_value_as_they_were() -> None:
    record = letter(b"\x00raw").record()
    assert (record["key"], record["value"]) == (b"k", b"\x00raw")
    assert dict(record["headers"]) == {
        "error": b"no JSON",
        "source_topic": b"ORDER_CREATED",
        "source_partition": b"3",
        "source_offset": b"7",
    }


def test_a_dead_letter_that_no_topic_takes_says_where_its_record_is() -> None:
    record = letter(b"x" * MAX_VALUE_BYTES).record()
    assert (record["key"], record["value"]) == (None, None)
    assert dict(record["headers"])["left_out_bytes"] == str(MAX_VALUE_BYTES + 1).encode()
    assert dict(record["headers"])["source_offset"] == b"7"


def test_a_long_error_is_cut() -> None:
    record = letter(b"raw", error="e" * 5_000).record()
    assert len(dict(record["headers"])["error"]) == MAX_ERROR_CHARACTERS


def test_a_row_that_no_topic_takes_is_refused_while_its_input_is_in_hand() -> None:
    with pytest.raises(ValueError, match="a record of 900001 bytes"):
        Batch(()).write(cast("State", None), 0, b"k", b"x" * MAX_RECORD_BYTES)


def test_a_message_that_no_topic_takes_is_refused_while_its_input_is_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.delivery.batch.encode", lambda _: b"x" * (MAX_RECORD_BYTES + 1))

    class Huge:
        type = "ORDER_CREATED"
        key = "k"

    with pytest.raises(ValueError, match="more than the 900000 that a topic takes"):
        Batch(()).send(cast("Any", Huge()))
