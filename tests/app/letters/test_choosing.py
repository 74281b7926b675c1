from typing import Any, cast

import pytest

from app.errors import LettersRefused
from app.letters.choosing import Choice, Chosen
from app.letters.letter import LetterId
from app.letters.outcomes import dropped
from app.letters.selection import Wanted
from tests.app.letters.letters import letter


@pytest.mark.parametrize(
    "named", [{"ids": (LetterId(0, 1),)}, {"wanted": Wanted(topic="ORDER_CREATED")}, {"everything": True}]
)
def test_letters_are_chosen_by_ids_or_by_filters(named: dict[str, Any]) -> None:
    Choice(**cast("Any", {"wanted": Wanted(), "limit": 1} | named))


def test_all_letters_are_chosen_on_purpose_only() -> None:
    with pytest.raises(LettersRefused, match="or give a filter, or --all"):
        Choice(wanted=Wanted(), limit=1)


@pytest.mark.parametrize("filtered", [{"wanted": Wanted(key="k")}, {"everything": True}])
def test_letters_are_not_chosen_by_ids_and_filters(filtered: dict[str, Any]) -> None:
    with pytest.raises(LettersRefused, match="not by both"):
        Choice(**cast("Any", {"ids": (LetterId(0, 1),), "wanted": Wanted(), "limit": 1} | filtered))


def test_a_choice_tells_what_it_leaves_out() -> None:
    outcome = dropped(letter(1), "ada@shop", "a test")
    assert list(Chosen((letter(2),), 5, ((letter(1), outcome),)).remarks) == [
        f"0:1: {outcome}; nothing is done about it again without --force",
        "The oldest 1 of 5; --limit takes more.",
    ]
    assert list(Chosen((), 0).remarks) == ["No letter."]
    assert list(Chosen((letter(2),), 1).remarks) == []
