"""The options of `python -m app dead-letters`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import current

if TYPE_CHECKING:
    from app.letters.choosing import Choice
    from app.letters.selection import Wanted

dead_letters = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look at records that could not be processed, put them back, or set them aside.",
)

Topic = Annotated[str | None, typer.Option(help="Only records of this topic.")]
Key = Annotated[str | None, typer.Option(help="Only records with this key.")]
Order = Annotated[str | None, typer.Option(help="Only records that name this order.")]
Error = Annotated[str | None, typer.Option(help="Only letters whose error has this in it.")]
Since = Annotated[
    str | None, typer.Option(help="Only letters since then: 2026-01-31T12:00:00Z, or 2h for two hours ago.")
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many letters.")]
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID...", help="Letters' ids, as listed.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All letters, however old.")]
Force = Annotated[bool, typer.Option("--force", help="Also what something was done about, by its id.")]
By = Annotated[str | None, typer.Option(help="Who does this.", show_default="the user of this machine")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@dead_letters.command("list")
def list_letters(  # noqa: PLR0913  # an option each
    *,
    topic: Topic = None,
    key: Key = None,
    order: Order = None,
    error: Error = None,
    since: Since = None,
    limit: Limit = 50,
    before: Annotated[str | None, typer.Option(help="Only letters before this one.", metavar="ID")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print an object of JSON a line.")] = False,
) -> None:
    """List the letters that nothing was done about, newest last."""
    from app.letters import listing  # noqa: PLC0415  # other commands need no Kafka client
    from app.letters.letter import LetterId  # noqa: PLC0415

    wanted = _wanted(topic, key, order, error, since)
    start = None if before is None else LetterId.parse(before)
    raise typer.Exit(listing.run(current(), wanted, limit, start, json=json))


@dead_letters.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="A letter's id, as listed.")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Write only the bytes, as they are.")] = False,
) -> None:
    """Show one letter: its headers, its bytes, and what was done about it."""
    from app.letters import showing  # noqa: PLC0415  # other commands need no Kafka client
    from app.letters.letter import LetterId  # noqa: PLC0415

    run = showing.run_raw if raw else showing.run
    raise typer.Exit(run(current(), LetterId.parse(letter)))


@dead_letters.command()
def retry(  # noqa: PLR0913  # an option each
    ids: Ids = None,
    *,
    topic: Topic = None,
    key: Key = None,
    order: Order = None,
    error: Error = None,
    since: Since = None,
    everything: All = False,
    limit: Limit = 100,
    edit: Annotated[
        Path | None, typer.Option(help="Send what is in this file, once it can be read; one letter only.")
    ] = None,
    editor: Annotated[bool, typer.Option("--editor", help="The same, of what $EDITOR makes of it.")] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=100_000, help="Put back so many a second.")
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            min=0, max=3_600, help="Wait so many seconds, each time, to see whether letters come back."
        ),
    ] = 30,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also what something was done about, by its id; and all at once, out of order."
        ),
    ] = False,
    by: By = None,
    dry_run: DryRun = False,
) -> None:
    """Put records back where they came from, and say which of them come back as letters.

    Of each key one goes at a time, the oldest first; the next goes only once that was taken in. What comes
    back keeps its turn. It is the order among letters: what was taken in since they were buried stays so.
    """
    from app.letters import retrying  # noqa: PLC0415  # other commands need no Kafka client
    from app.letters.outcomes import operator  # noqa: PLC0415

    wanted = _wanted(topic, key, order, error, since)
    choice = _choice(ids, wanted, limit, everything=everything, force=force)
    options = retrying.Options(
        by=by or operator(),
        edit=edit,
        editor=editor,
        dry_run=dry_run,
        rate=rate,
        wait_s=wait,
        at_once=force,
    )
    raise typer.Exit(retrying.run(current(), choice, options))


@dead_letters.command()
def drop(  # noqa: PLR0913  # an option each
    ids: Ids = None,
    *,
    reason: Annotated[str, typer.Option(help="Why nothing more is to be done about them.")],
    topic: Topic = None,
    key: Key = None,
    order: Order = None,
    error: Error = None,
    since: Since = None,
    everything: All = False,
    limit: Limit = 100,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    force: Force = False,
    by: By = None,
    dry_run: DryRun = False,
) -> None:
    """Set letters aside for good; they stay in Kafka, and are listed no more."""
    from app.letters import dropping  # noqa: PLC0415  # other commands need no Kafka client
    from app.letters.outcomes import operator  # noqa: PLC0415

    wanted = _wanted(topic, key, order, error, since)
    choice = _choice(ids, wanted, limit, everything=everything, force=force)
    confirm = (lambda _: True) if yes else typer.confirm
    code = dropping.run(current(), choice, by or operator(), reason, dry_run=dry_run, confirm=confirm)
    raise typer.Exit(code)


def _wanted(
    topic: str | None, key: str | None, order: str | None, error: str | None, since: str | None
) -> "Wanted":
    from app.letters.selection import Wanted, moment_of  # noqa: PLC0415

    moment = None if since is None else moment_of(since, datetime.now(UTC))
    return Wanted(topic=topic, key=key, order=order, error=error, since=moment)


def _choice(
    ids: list[str] | None, wanted: "Wanted", limit: int, *, everything: bool, force: bool
) -> "Choice":
    from app.letters.choosing import Choice  # noqa: PLC0415
    from app.letters.letter import LetterId  # noqa: PLC0415

    return Choice(
        ids=tuple(map(LetterId.parse, ids or ())),
        wanted=wanted,
        everything=everything,
        limit=limit,
        force=force,
    )
