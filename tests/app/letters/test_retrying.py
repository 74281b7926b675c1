import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.errors import LettersRefused
from app.letters import retrying
from app.letters.letter import LIGHT_BYTES, Letter, Source
from app.letters.outcomes import Outcome
from app.letters.retrying import Options
from app.settings import Settings
from tests.app.letters.letters import letter

LARGE = b"x" * (LIGHT_BYTES + 1)


class Paper:
    """Take whatever is put, and fail at one letter."""

    def __init__(self, fails_at: int = -1) -> None:
        self.done: list[str] = []
        self.fails_at = fails_at

    def put(self, source: Source, key: bytes | None, value: bytes | None) -> Source:
        if source.offset == self.fails_at:
            raise LettersRefused("no")
        self.done.append(f"put {source.offset} {key!r} {value!r}")
        return source._replace(offset=source.offset + 100)

    def record(self, found: Letter, outcome: Outcome) -> None:
        self.done.append(f"record {found.id} {outcome.what} {outcome.sent}")


class Shelf:
    """Have the letters that were made."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self.letters = {each.id: each for each in letters}

    def find(self, letter_id: Any) -> Letter:
        return self.letters[letter_id]


class Clock(threading.Event):
    """Let time pass when it is waited for, and stop at some moment."""

    def __init__(self, stops_at: float = 1e9) -> None:
        super().__init__()
        self.now = 0.0
        self.stops_at = stops_at

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if self.now >= self.stops_at:
            self.set()
        return self.is_set()


def put_back(
    monkeypatch: pytest.MonkeyPatch,
    paper: Paper,
    clock: Clock,
    rate: float | None = None,
    edited: bytes | None = None,
) -> tuple[list[int], list[int]]:
    """Put three letters back; return which were and how often progress was told."""
    letters = [letter(0), letter(1, value=LARGE), letter(2)]
    ticks: list[int] = []
    monkeypatch.setattr(retrying, "Writer", lambda _: paper)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    retry = retrying.Retry(Settings(), cast("Any", Shelf(letters)), Options(by="ada", rate=rate), edited)
    sent = retry.put_back([each.light() for each in letters], cast("Any", ticks.append), clock)
    return [each.id.offset for each in sent.values()], ticks


def test_each_record_is_noted_before_the_next_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper()
    assert put_back(monkeypatch, paper, Clock()) == ([0, 1, 2], [1, 1, 1])
    assert paper.done[:3] == [
        "put 0 b'order-0' b'{'",
        "record 0:0 RETRIED ORDER_CREATED/0/100",
        f"put 1 b'order-1' {LARGE!r}",
    ]


def test_an_edit_goes_in_place_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper()
    put_back(monkeypatch, paper, Clock(), edited=b"{}")
    assert paper.done[0] == "put 0 b'order-0' b'{}'"


def test_records_are_put_back_no_faster_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    put_back(monkeypatch, Paper(), clock, rate=0.5)
    assert clock.now == 4.0


def test_nothing_is_put_back_once_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert put_back(monkeypatch, Paper(), Clock(stops_at=2.0), rate=0.5) == ([0], [1])


def test_a_failure_says_at_which_letter_and_behind_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LettersRefused, match=r"^letter 0:1: no; 1 were put back before it$"):
        put_back(monkeypatch, Paper(fails_at=1), Clock())
