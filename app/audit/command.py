"""The options of `python -m app audit`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from app.errors import Failure
from app.settings import current

NO_RESULT = 2
"""How it ends where nothing can be said: 1 is kept for offences."""


def audit(  # noqa: PLR0913  # an option each
    *,
    deadline_s: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=31_536_000,
            help="Give an order so many seconds to end.",
            show_default="saga.pending_ms + saga.paying_ms + 5 minutes",
        ),
    ] = None,
    at_rest: Annotated[
        bool,
        typer.Option("--at-rest", help="Nothing is under way: what has not come by now is an offence."),
    ] = False,
    worker: Annotated[
        str | None, typer.Option(help="Compare the tables, too, as this worker answers: http://HOST:PORT.")
    ] = None,
    offenders: Annotated[int, typer.Option(min=1, max=100_000, help="Show so many offences.")] = 20,
    json: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what was found to this file.")
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="Sort on this disk, not in the temporary folder."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
    every_s: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Look again after so many seconds, with --follow.")
    ] = 5.0,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Serve metrics on this port, with --follow.")
    ] = None,
    metrics_bind: Annotated[str, typer.Option(help="Serve them on this address.")] = "127.0.0.1",
) -> None:
    """Check from the topics alone that nothing is lost, oversold or charged twice."""
    from app.audit.run import Options, run  # noqa: PLC0415  # other commands need none of it

    if metrics_port is not None and not follow:
        raise typer.BadParameter("it needs --follow", param_hint="--metrics-port")
    if at_rest and follow:
        raise typer.BadParameter("what is followed is not at rest", param_hint="--at-rest")
    options = Options(
        deadline=None if deadline_s is None else timedelta(seconds=deadline_s),
        at_rest=at_rest,
        worker=worker,
        every_s=every_s if follow else None,
        metrics_port=metrics_port,
        metrics_bind=metrics_bind,
        at_most=offenders,
        scratch=scratch,
        json=json,
    )
    try:
        code = run(current(), options)
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        code = NO_RESULT
    raise typer.Exit(code)
