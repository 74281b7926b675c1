from typing import Any

import pytest

from app.delivery.batch import Batch
from app.delivery.deadletters import DeadLetter
from app.main import delivery
from app.partitions import partition_of
from tables.letters import MOST, find_letters, save_letter, state

HOME = partition_of(b"order-1", delivery.settings.partitions)


def letter(topic: str = "PAYMENT_FAILED", **changed: Any) -> DeadLetter:
    made = {
        "partition": HOME,
        "offset": 7,
        "key": b"order-1",
        "value": b"{",
        "recorded_ms": 1_500,
        "error": "",
    }
    return DeadLetter(topic=topic, **{**made, **changed})


def rows(*letters: DeadLetter) -> dict[bytes, bytes]:
    """Return what a batch with these letters writes into the home of their order."""
    batch = Batch(())
    for each in letters:
        save_letter(batch, each)
    return {row["key"]: row["value"] for row in batch.rows().get((state, HOME), [])}


def found(monkeypatch: pytest.MonkeyPatch, written: dict[bytes, bytes], order_id: str) -> list[str]:
    def scan(_: object, __: int, prefix: bytes) -> Any:
        return ((key, written[key]) for key in sorted(written) if key.startswith(prefix))

    monkeypatch.setattr("app.delivery.state.State.scan", scan)
    return [each.place for each in find_letters(HOME, order_id)]


def test_the_letters_of_an_order_are_found_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    written = rows(letter(recorded_ms=3_000), letter("ORDER_CREATED", recorded_ms=1_000), letter(offset=9))
    assert found(monkeypatch, written, "order-1") == [
        f"ORDER_CREATED/{HOME}/7",
        f"PAYMENT_FAILED/{HOME}/9",
        f"PAYMENT_FAILED/{HOME}/7",
    ]


def test_the_letters_of_another_order_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, rows(letter()), "order") == []


def test_the_same_letter_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, rows(letter(), letter()), "order-1") == [f"PAYMENT_FAILED/{HOME}/7"]


def test_of_very_many_letters_some_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    written = rows(*(letter(offset=number) for number in range(MOST + 1)))
    assert len(found(monkeypatch, written, "order-1")) == MOST


@pytest.mark.parametrize(
    "other",
    [
        letter("INVENTORY_REQUESTED"),
        letter(key=None),
        letter(key=b""),
        letter(key=b"order/1"),
        letter(key=b"\xff"),
        letter(key=b"x" * 65),
    ],
)
def test_a_letter_that_is_about_no_order_leaves_no_row(other: DeadLetter) -> None:
    batch = Batch(())
    save_letter(batch, other)
    assert batch.rows() == {}


def test_a_letter_in_a_partition_that_is_not_its_order_s_leaves_no_row() -> None:
    batch = Batch(())
    save_letter(batch, letter(partition=HOME + 1))
    assert batch.rows() == {}
