"""The options of `python -m app rebuild`."""

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.errors import Failure
from app.settings import current

NO_RESULT = 2
"""How it ends where it could not be done: 1 is kept for differences."""


class Writable(StrEnum):
    """Name a table that can be put back."""

    ORDERS = "orders"
    INVENTORY = "inventory"
    PAYMENTS = "payments"


def rebuild(  # noqa: PLR0913  # an option each
    *,
    until: Annotated[
        str | None, typer.Option(help="Show the state as of this time, as 2026-11-22T23:54:34Z has it.")
    ] = None,
    order: Annotated[str | None, typer.Option(help="Show this order alone.")] = None,
    sku: Annotated[str | None, typer.Option(help="Show this SKU alone.")] = None,
    write: Annotated[
        Writable | None, typer.Option(help="Put this table back into its changelog, which must be empty.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Use so many processes.")] = None,
    differences: Annotated[int, typer.Option(min=1, max=100_000, help="Show so many differences.")] = 20,
    json: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what was found to this file.")
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="Sort on this disk, not in the temporary folder."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="Leave the scratch stores below this folder."),
    ] = None,
) -> None:
    """Make the states anew from the topics alone, and compare them with the live tables.

    Ends with 0 where nothing differs, 1 where something does, and 2 where it could not be done.
    """
    from app.rebuild.run import Options, run  # noqa: PLC0415  # other commands need none of it

    if write is not None and (until or order or sku):
        raise typer.BadParameter("it goes with none of --until, --order, --sku", param_hint="--write")
    if order is not None and sku is not None:
        raise typer.BadParameter("it does not go with --order", param_hint="--sku")
    options = Options(
        jobs=jobs or os.cpu_count() or 1,
        until=None if until is None else _moment(until),
        order_id=order,
        sku=sku,
        write=None if write is None else write.value,
        at_most=differences,
        scratch=scratch,
        keep=keep,
        json=json,
    )
    try:
        code = run(current(), options)
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        code = NO_RESULT
    raise typer.Exit(code)


def _moment(text: str) -> datetime:
    """Return the time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time as RFC 3339 has it", param_hint="--until") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
