"""What `dead-letters drop` does: letters are set aside for good, and stay where they are."""

from collections.abc import Callable

from app.letters.choosing import Choice, choose
from app.letters.listing import say, table
from app.letters.outcomes import dropped
from app.letters.progress import reading
from app.letters.reading import Reader
from app.letters.retrying import INTERRUPTED
from app.letters.writing import Writer
from app.settings import Settings
from app.stopping import stoppable

Confirm = Callable[[str], bool]


def run(  # noqa: PLR0913  # who, what and why
    settings: Settings, choice: Choice, by: str, reason: str, *, dry_run: bool, confirm: Confirm
) -> int:
    """Write down that nothing more is to be done about letters, once that is confirmed.

    Raises:
        Failure: Kafka does not answer, or there is no letter of an id.
    """
    with reading("looking for letters") as tick, Reader(settings, tick) as reader:
        tick.total(reader.size(choice.wanted.since))
        chosen = choose(reader, choice)
    letters = chosen.letters
    say(*chosen.remarks)
    if not letters:
        return 0
    say(table(letters))
    if dry_run:
        say(f"A dry run: nothing was done; {len(letters):,} would be dropped.")
        return 0
    if not confirm(f"Drop {len(letters):,} of them?" if chosen.of > 1 else "Drop it?"):
        say("Nothing was done.")
        return 1
    writer, done = Writer(settings), 0
    with stoppable() as stop, reading("dropped") as tick:
        tick.total(len(letters))
        while done < len(letters) and not stop.is_set():
            writer.record(letters[done], dropped(letters[done], by, reason))
            done += 1
            tick(1)
    say(f"{done:,} of {len(letters):,} dropped; they stay in the topic, and are listed no more.")
    return INTERRUPTED if stop.is_set() else 0
