"""In which order several logs may have been read: each keeps its own order, and a proof decides the rest."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from models.messages import Message

E = TypeVar("E")
S = TypeVar("S")
Rank = tuple[datetime, int]
Positions = tuple[int, ...]

STEPS = 1_000
"""How much is tried: more than a handful of events needs, and over in a moment where nothing fits."""


class Means(NamedTuple, Generic[S, E]):
    """Be what a search is made with.

    `step` returns the very same state where the event does not count, and None where the way leads nowhere;
    `fits` judges an end; what has the least `rank` is tried first.
    """

    step: Callable[[S, E], S | None]
    fits: Callable[[S], bool]
    rank: Callable[[E], Rank]


def interleave(logs: Sequence[Sequence[E]], start: S, means: Means[S, E]) -> S | None:
    """Return the first end that fits of the ways to read the logs, None where none is found in `STEPS` steps.

    What does not count makes no difference where it is read, as long as it does not. So a record waits until
    it counts, or to the end; ways in which some are read before they count are tried after all others.
    """
    ways, seen = deque([(start, (0,) * len(logs))]), set[tuple[S, Positions]]()
    for _ in range(STEPS):
        if not ways:
            return None
        way = ways.pop()
        if way in seen:
            continue
        seen.add(way)
        state, positions = way
        counting = list(_counting(logs, state, positions, means))
        counting.sort(key=lambda each: each[0], reverse=True)
        if not counting and means.fits(state):
            return state
        ways.extendleft(_passing(logs, state, positions, means))
        ways.extend(way for _, onward in counting for way in onward)
    return None


def by_type(messages: Sequence[Message]) -> list[list[Message]]:
    """Return the messages by their kind, each kind in its order."""
    logs: dict[type[Message], list[Message]] = {}
    for message in messages:
        logs.setdefault(type(message), []).append(message)
    return list(logs.values())


def _counting(
    logs: Sequence[Sequence[E]], state: S, positions: Positions, means: Means[S, E]
) -> Iterator[tuple[Rank, list[tuple[S, Positions]]]]:
    """Yield of each log the next that counts, and what it leads to, if anywhere."""
    for number, log in enumerate(logs):
        for position in range(positions[number], len(log)):
            after = means.step(state, log[position])
            if after is not state:
                onward = _moved(positions, number, position + 1)
                yield means.rank(log[position]), [] if after is None else [(after, onward)]
                break


def _passing(
    logs: Sequence[Sequence[E]], state: S, positions: Positions, means: Means[S, E]
) -> Iterator[tuple[S, Positions]]:
    """Yield each way to read one record now, because it does not count yet."""
    for number, log in enumerate(logs):
        position = positions[number]
        if position < len(log) and means.step(state, log[position]) is state:
            yield state, _moved(positions, number, position + 1)


def _moved(positions: Positions, number: int, to: int) -> Positions:
    return (*positions[:number], to, *positions[number + 1 :])
