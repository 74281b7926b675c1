"""The options of `python -m app rewind`."""

from enum import StrEnum
from typing import Annotated

import typer

from app.settings import current


class Rewindable(StrEnum):
    """Name a stage that may read its topics anew: what it says of them, no other stage waits for."""

    ANALYTICS = "analytics"
    NOTIFICATIONS = "notifications"
    TRANSFER = "transfer"


def rewind(
    stage: Annotated[Rewindable, typer.Argument(help="The stage whose changelog is lost.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Have a stage read its topics from the beginning, where its changelog is lost; asks first.

    Its workers must not run. What is told outside then, notifications.max_age_ms and transfer.since say.
    """
    from app.rewind.run import run  # noqa: PLC0415  # other commands need no Kafka client

    confirm = (lambda _: True) if yes else typer.confirm
    raise typer.Exit(run(current(), stage.value, dry_run=dry_run, confirm=confirm))
