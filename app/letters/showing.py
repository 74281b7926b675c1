"""What `dead-letters show` does: all there is to know about one letter."""

import sys
from collections.abc import Iterator

from app.letters.letter import Letter, LetterId, Source
from app.letters.listing import say
from app.letters.outcomes import Outcome
from app.letters.progress import reading
from app.letters.reading import Reader
from app.letters.texts import key_text, value_lines
from app.settings import Settings


def run_raw(settings: Settings, letter_id: LetterId) -> int:
    """Write the bytes of a letter's record as they are.

    Raises:
        Failure: Kafka does not answer, or there is no such letter.
    """
    with Reader(settings) as reader:
        letter = reader.find(letter_id)
        value = reader.find_source(letter.source)[1] if letter.left_out and letter.source else letter.value
    sys.stdout.buffer.write(value or b"")
    return 0


def run(settings: Settings, letter_id: LetterId) -> int:
    """Print a letter, what it holds and what was done about it.

    Raises:
        Failure: Kafka does not answer, or there is no such letter.
    """
    with reading("looking for its outcome") as tick, Reader(settings, tick) as reader:
        letter = reader.find(letter_id)
        done = [outcome for name, outcome in reader.outcomes(letter_id.partition) if name == letter.name]
        again = _come_back(reader, letter, {outcome.sent for outcome in done if outcome.sent})
    say(*_lines(letter, done, again))
    return 0


def _come_back(reader: Reader, letter: Letter, sent: set[Source]) -> dict[Source, LetterId]:
    """Return the letters that became of what was put back."""
    if not sent:
        return {}
    later = reader.letters(letter.id.partition, letter.id.offset + 1)
    return {each.source: each.id for each in later if each.source in sent}


def _lines(letter: Letter, done: list[Outcome], again: dict[Source, LetterId]) -> Iterator[str]:
    yield f"letter  {letter.id}"
    yield f"when    {letter.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"
    yield f"record  {letter.source or 'unknown: no headers say where it came from'}"
    yield f"key     {'none' if letter.key is None else key_text(letter.key)}"
    yield f"error   {letter.error}"
    for outcome in done:
        back = f"; came back as letter {again[outcome.sent]}" if outcome.sent in again else ""
        yield f"done    {outcome}{back}"
    if not done:
        yield "done    nothing"
    yield ""
    if letter.left_out:
        yield f"{letter.left_out:,} bytes, too large for a letter: --raw gets them from where they are"
    elif letter.value is None:
        yield "no value"
    else:
        yield from value_lines(letter.value)
