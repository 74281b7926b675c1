"""What `python -m app topics` does."""

from collections.abc import Collection, Mapping, Sequence

import typer
from rich.console import Console
from rich.table import Column, Table

from app.settings import Settings
from app.topics import admin
from app.topics.plan import Difference, Layout, TopicSpec, differences, explain, plan


def run(settings: Settings, *, check: bool) -> int:
    """Create what is missing unless only to check, show every topic, and return 0 if all is as it must be.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TopicsDiffer: Kafka refuses to create one.
    """
    created = () if check else admin.ensure(settings)
    specs = plan(settings)
    actual = admin.describe(settings, specs)
    found = differences(specs, actual)
    Console().print(_table(specs, actual, found, created))
    if found:
        typer.echo(explain(found))
    return 1 if found else 0


def _table(
    specs: Sequence[TopicSpec],
    actual: Mapping[str, Layout],
    found: Sequence[Difference],
    created: Collection[str],
) -> Table:
    table = Table(Column("topic", no_wrap=True), "partitions", "kind", "result")
    for spec in specs:
        partitions = str(actual[spec.name].partitions) if spec.name in actual else ""
        table.add_row(spec.name, partitions, spec.kind, _result(spec.name, found, created))
    return table


def _result(topic: str, found: Sequence[Difference], created: Collection[str]) -> str:
    if differing := [each.what for each in found if each.topic == topic]:
        return "differs: " + "; ".join(differing)
    return "created" if topic in created else "as it should be"
