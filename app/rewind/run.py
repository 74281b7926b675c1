"""What `python -m app rewind` does: the groups that run a stage go back to the beginning of its topics."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import typer

from app.errors import RewindRefused
from app.groups import Groups, Place
from app.settings import Settings
from models.events import AnalyticsEvent, NotificationEvent, OrderCompleted, OrderRefunded

INPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "analytics": (AnalyticsEvent.type,),
        "notifications": (NotificationEvent.type,),
        "transfer": (OrderCompleted.type, OrderRefunded.type),
    }
)
"""What each of these stages reads, and no other does."""

BEGINNING = 0
"""Messages are kept for ever, so there is a first one; and a stage at 0 is one that has not worked yet."""

DONE, NOT_DONE = 0, 1

Confirm = Callable[[str], bool]


def run(settings: Settings, stage: str, *, dry_run: bool, confirm: Confirm) -> int:
    """Put back the offsets of a stage's topics, once that is confirmed, in every group that has some.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        RewindRefused: workers of the stage are running.
    """
    groups = Groups(settings)
    running = groups.running(stage)
    if members := groups.members(running):
        raise RewindRefused(
            f"workers are running, or were less than kafka.session_timeout_ms ago: {', '.join(members)};"
            f" stop them, and wait, before {stage} is rewound"
        )
    reached = {group: _reached(groups.committed(group), stage) for group in running}
    behind = {group: places for group, places in reached.items() if places}
    for group, places in behind.items():
        for (topic, partition), offset in sorted(places.items()):
            typer.echo(f"{group}: {topic}[{partition}] from {offset:,} to {BEGINNING}")
    if not behind:
        typer.echo(f"Nothing to do: no group has worked on {', '.join(INPUTS[stage])}.")
        return DONE
    if dry_run:
        typer.echo("A dry run: nothing was done.")
        return DONE
    records = sum(sum(places.values()) for places in behind.values())
    if not confirm(f"Have {stage} read {records:,} records anew?"):
        typer.echo("Nothing was done.")
        return NOT_DONE
    for group, places in behind.items():
        groups.put_back(group, dict.fromkeys(places, BEGINNING))
    typer.echo(f"{stage} begins at the beginning when its workers start.")
    return DONE


def _reached(committed: Mapping[Place, int], stage: str) -> dict[Place, int]:
    return {
        place: offset
        for place, offset in committed.items()
        if place[0] in INPUTS[stage] and offset > BEGINNING
    }
