import pytest

from app.letters.letter import Source
from app.letters.outcomes import dropped, operator, outcomes, retried
from tests.app.letters.letters import letter


def test_an_outcome_reads_as_it_was_written() -> None:
    done = retried(letter(3), "ada@shop", Source("ORDER_CREATED", 0, 9), edited=True)
    assert outcomes.decode(outcomes.encode(done)) == done


def test_an_outcome_says_who_did_what_and_when() -> None:
    done = retried(letter(3), "ada@shop", Source("ORDER_CREATED", 0, 9), edited=True)
    assert str(done) == f"retried as ORDER_CREATED/0/9, edited by ada@shop at {done.at:%Y-%m-%d %H:%M:%S} UTC"
    done = dropped(letter(3), "ada@shop", "a test of somebody's")
    assert str(done).startswith("dropped by ada@shop at ")
    assert str(done).endswith(" UTC: a test of somebody's")


def test_an_operator_has_a_name_where_the_machine_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator().partition("@")[0].isdecimal()
