"""The options of `python -m app dead-letters`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.settings import current

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
    from app.letters.selection import Wanted, moment_of  # noqa: PLC0415

    wanted = Wanted(
        topic=topic,
        key=key,
        order=order,
        error=error,
        since=None if since is None else moment_of(since, datetime.now(UTC)),
    )
    start = None if before is None else LetterId.parse(before)
    raise typer.Exit(listing.run(current(), wanted, limit, start, json=json))


@dead_letters.command()
def show(letter: Annotated[str, typer.Argument(metavar="ID", help="A letter's id, as listed.")]) -> None:
    """Show one letter: its headers, its bytes, and what was done about it."""
    from app.letters import showing  # noqa: PLC0415  # other commands need no Kafka client
    from app.letters.letter import LetterId  # noqa: PLC0415

    raise typer.Exit(showing.run(current(), LetterId.parse(letter)))
