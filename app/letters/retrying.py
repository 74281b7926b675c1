"""What `dead-letters retry` does: records go back to where they came from."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import LettersRefused
from app.letters.aftermath import await_workers, come_back
from app.letters.choosing import Choice, choose, require_order
from app.letters.editing import fault, from_editor, from_file
from app.letters.letter import Lane, Letter, LetterId, Source
from app.letters.listing import say, table
from app.letters.outcomes import retried
from app.letters.progress import Ticks, reading
from app.letters.reading import Reader
from app.letters.selection import next_round
from app.letters.writing import Writer
from app.settings import Settings
from app.stopping import stoppable
from models.catalogue import MESSAGES

INTERRUPTED = 130

Sent = dict[Source, Letter]
"""The letters that were put back, by where their records are now."""

Unsettled = dict[Lane | None, LetterId]
"""The letters that were not taken in, by whom they hold back."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Be how letters are retried; `rate` is records a second, as many as there can be where it is None.

    Those of a key go one by one, each when the one before has been taken in, or all `at_once`.
    """

    by: str
    edit: Path | None = None
    editor: bool = False
    dry_run: bool = False
    rate: float | None = None
    wait_s: float = 30.0
    at_once: bool = False


def run(settings: Settings, choice: Choice, options: Options) -> int:
    """Put the records of letters back, say what became of them, and return 0 if all were taken in.

    Raises:
        Failure: Kafka does not answer, or a letter can't be retried.
    """
    with reading("looking for letters") as tick, Reader(settings, tick) as reader:
        tick.total(reader.size(choice.wanted.since))
        chosen = choose(reader, choice)
        _require_sources(reader, chosen.letters)
        if not choice.force:
            require_order(reader, chosen.letters)
    say(*chosen.remarks)
    if not chosen.letters:
        return 0
    with Reader(settings) as reader:
        edited = _edited(reader, chosen.letters, options)
        if options.dry_run:
            _preview(reader, chosen.letters, edited)
            return 0
        return _retry(Retry(settings, reader, options, edited), chosen.letters)


def _retry(retry: "Retry", letters: Sequence[Letter]) -> int:
    since = {letter.id.partition: retry.reader.end(letter.id.partition) for letter in letters}
    well, put, waiting = True, 0, list(letters)
    with stoppable() as stop:
        while waiting and not stop.is_set():
            going, waiting = (waiting, []) if retry.options.at_once else next_round(waiting)
            with reading("put back") as tick:
                tick.total(len(going))
                sent = retry.put_back(going, tick, stop)
            put += len(sent)
            say(*(f"{letter.id}: put back as {source}" for source, letter in sent.items()))
            unsettled = retry.look_after(sent, since, stop)
            well = well and not (unsettled and retry.options.wait_s)
            held = {letter.id: unsettled[letter.lane] for letter in waiting if letter.lane in unsettled}
            if not stop.is_set():
                say(*(f"{letter}: not put back, it waits for {earlier}" for letter, earlier in held.items()))
            well = well and not held
            waiting = [letter for letter in waiting if letter.id not in held]
    if stop.is_set():
        say(f"Interrupted: {put:,} of {len(letters):,} were put back.")
        return INTERRUPTED
    return 0 if well else 1


class Retry:
    """Be a retry: from where, to where and how."""

    def __init__(self, settings: Settings, reader: Reader, options: Options, edited: bytes | None) -> None:
        self.settings = settings
        self.reader = reader
        self.options = options
        self._edited = edited
        self._writer = Writer(settings)
        self._began = time.monotonic()
        self._done = 0

    def put_back(self, letters: Sequence[Letter], tick: Ticks, stop: threading.Event) -> Sent:
        """Put the records back one by one, each with its outcome, until told to stop."""
        sent: Sent = {}
        for letter in letters:
            if self.options.rate is not None:
                stop.wait(max(0.0, self._began + self._done / self.options.rate - time.monotonic()))
            if stop.is_set():
                break
            try:
                sent[self._put_back(letter)] = letter
            except LettersRefused as error:
                raise LettersRefused(
                    f"letter {letter.id}: {error}; {self._done:,} were put back before it"
                ) from error
            self._done += 1
            tick(1)
        return sent

    def look_after(self, sent: Sent, since: Mapping[int, int], stop: threading.Event) -> Unsettled:
        """Say what became of the records, as far as it is known in time, and return what was not taken in."""
        if not self.options.wait_s:
            return {letter.lane: letter.id for letter in sent.values()}
        waiting = await_workers(self.settings, sent, self.options.wait_s, stop)
        back = come_back(self.reader, sent, since)
        say(*(f"{letter.id}: {_verdict(source, waiting, back)}" for source, letter in sent.items()))
        return {
            letter.lane: back.get(source, letter).id
            for source, letter in sent.items()
            if source in waiting or source in back
        }

    def _put_back(self, letter: Letter) -> Source:
        key, value = _content(self.reader, letter)
        edited = self._edited is not None
        sent = self._writer.put(_source(letter), key, self._edited if edited else value)
        self._writer.record(letter, retried(letter, self.options.by, sent, edited=edited))
        return sent


def _require_sources(reader: Reader, letters: Sequence[Letter]) -> None:
    for letter in letters:
        topic, partition, _ = _source(letter)
        # Only messages go back: a forged header must not reach a changelog, or what Kafka keeps for itself.
        if topic not in MESSAGES or not reader.has(topic, partition):
            raise LettersRefused(
                f"letter {letter.id} came from {topic}/{partition}, which is no place of messages (any more):"
                " it can only be dropped"
            )


def _source(letter: Letter) -> Source:
    if letter.source is None:
        raise LettersRefused(
            f"letter {letter.id} does not say where its record came from: it can only be dropped"
        )
    return letter.source


def _content(reader: Reader, letter: Letter) -> tuple[bytes | None, bytes | None]:
    """Return key and value of the record; what was too large for a letter is still where it came from."""
    if letter.left_out:
        return reader.find_source(_source(letter))
    value = letter.value if letter.whole else reader.find(letter.id).value
    return letter.key, value


def _edited(reader: Reader, letters: Sequence[Letter], options: Options) -> bytes | None:
    if options.edit is None and not options.editor:
        return None
    if len(letters) != 1:
        raise LettersRefused(f"one letter can be edited at a time, and {len(letters):,} are chosen")
    key, value = _content(reader, letters[0])
    if options.edit is not None:
        return from_file(options.edit, _source(letters[0]), key)
    return from_editor(value, _source(letters[0]), key)


def _preview(reader: Reader, letters: Sequence[Letter], edited: bytes | None) -> None:
    say(table(letters, ("as it is now", [*_faults(reader, letters, edited)])))
    say(f"A dry run: nothing was done; {len(letters):,} would be put back.")


def _faults(reader: Reader, letters: Sequence[Letter], edited: bytes | None) -> Iterator[str]:
    for letter in letters:
        key, value = _content(reader, letter)
        wrong = fault(_source(letter), key, value if edited is None else edited)
        yield f"can't be read: {wrong}" if wrong else "can be read"


def _verdict(source: Source, waiting: frozenset[Source], back: dict[Source, Letter]) -> str:
    if source in back:
        return f"came back as letter {back[source].id}: {back[source].error}"
    return "not taken in yet" if source in waiting else "taken in"
