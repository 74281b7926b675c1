"""The letters that are to be worked on: by their ids, or by filters."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.errors import LettersRefused
from app.letters.letter import Letter, LetterId
from app.letters.outcomes import Outcome, Returns
from app.letters.reading import Reader, open_letters
from app.letters.selection import Wanted, held_back, oldest


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Say which letters are meant: these ids; or the first `limit` of those that pass the filters.

    With `force` also those that something was done about already, and those that others should go before.
    """

    ids: tuple[LetterId, ...] = ()
    wanted: Wanted
    everything: bool = False
    limit: int
    force: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no clear choice: one by mistake could reach all letters.

        Raises:
            LettersRefused: nothing is named, or both ids and filters are.
        """
        filtered = self.everything or not self.wanted.anything
        if not self.ids and not filtered:
            raise LettersRefused("name letters by their ids, or give a filter, or --all")
        if self.ids and filtered:
            raise LettersRefused("name letters by their ids or by filters, not by both")


@dataclass(frozen=True)
class Chosen:
    """Be the letters to work on, oldest first and light.

    `of` is how many there are, beyond the limit too; `done` are those that were dealt with already.
    """

    letters: tuple[Letter, ...]
    of: int
    done: tuple[tuple[Letter, Outcome], ...] = ()

    @property
    def remarks(self) -> Iterator[str]:
        """Yield what is to be known of the choice."""
        for letter, outcome in self.done:
            yield f"{letter.id}: {outcome}; nothing is done about it again without --force"
        if self.of > len(self.letters):
            yield f"The oldest {len(self.letters):,} of {self.of:,}; --limit takes more."
        if not self.of and not self.done:
            yield "No letter."


def choose(reader: Reader, choice: Choice) -> Chosen:
    """Return the letters that are meant.

    Raises:
        Failure: Kafka does not answer, or there is no letter of an id.
    """
    if choice.ids:
        return _named(reader, choice)
    page = oldest(open_letters(reader, choice.wanted.since), choice.wanted, choice.limit)
    return Chosen(page.letters, page.of)


def require_order(reader: Reader, letters: tuple[Letter, ...]) -> None:
    """Make sure that no letter overtakes an earlier one of its key.

    Raises:
        LettersRefused: one would.
    """
    partitions = sorted({letter.id.partition for letter in letters})
    still_open = (letter for partition in partitions for letter in reader.open(partition))
    if waiting := held_back(letters, still_open):
        letter_id, earlier = next(iter(waiting.items()))
        more = f", and {len(waiting) - 1:,} more wait likewise" if len(waiting) > 1 else ""
        raise LettersRefused(
            f"letter {letter_id} has to wait for {earlier}, an earlier one of its key{more}:"
            " choose both, or use --force"
        )


def _named(reader: Reader, choice: Choice) -> Chosen:
    letters = (reader.find(letter_id).light() for letter_id in sorted(set(choice.ids), reverse=True))
    found = {letter.name: letter for letter in letters}
    partitions = sorted({letter.id.partition for letter in found.values()})
    outcomes = [each for partition in partitions for each in reader.outcomes(partition)]
    known = {name: outcome for name, outcome in outcomes if name in found}
    returns = Returns(outcomes)
    done = () if choice.force else tuple((found[name], known[name]) for name in known)
    left = [returns.placed(found[name]) for name in found if choice.force or name not in known]
    return Chosen(tuple(sorted(left, key=lambda letter: letter.moment)), len(left), done)
