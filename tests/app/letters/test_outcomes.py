import pytest
from msgspec.structs import replace

from app.letters.letter import LetterId, Source
from app.letters.outcomes import Outcome, Returns, dropped, operator, outcomes, retried
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


def again(before: int, after: int) -> tuple[bytes, Outcome]:
    """Return that a letter was put back, to become the other."""
    sent = letter(after).source
    assert sent is not None
    return letter(before).name, retried(letter(before), "ada", sent, edited=False)


def test_what_comes_back_again_and_again_is_known_by_what_it_was_at_first() -> None:
    returns = Returns([again(1, 7), again(7, 9)])
    assert [returns.placed(letter(number)).first for number in (1, 7, 9)] == [
        None,
        LetterId(0, 1),
        LetterId(0, 1),
    ]
    assert returns.placed(letter(8)) == letter(8)


def test_a_forged_outcome_leads_nowhere_and_not_round_in_circles() -> None:
    name, outcome = again(2, 3)
    returns = Returns([again(1, 2), again(2, 1), (name, replace(outcome, letter="nonsense"))])
    assert returns.placed(letter(1)) == letter(1)
    assert returns.placed(letter(2)).first == LetterId(0, 1)
    assert returns.placed(letter(3)) == letter(3)
