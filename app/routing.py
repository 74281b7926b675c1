"""Which worker owns a key: its partition by Kafka's own hash, its owner by the group's assignment.

Leans on faust 0.15.3: `assignor.tables_metadata()`, `tables.actives_ready`, `rebalancing`.
"""

from yarl import URL

from app.delivery.state import State
from app.main import App
from app.partitions import partition_of


class Moving(Exception):  # noqa: N818  # reads as the verdict on a question
    """Say that the key has no owner at the moment: partitions move, or are being recovered."""


class Routes:
    """Tell where the rows of a table are."""

    def __init__(self, app: App, partitions: int) -> None:
        self._app = app
        self._partitions = partitions

    def partition_of(self, key: str) -> int:
        """Return the key's partition, as every producer and Faust compute it."""
        return partition_of(key.encode(), self._partitions)

    def ready(self) -> bool:
        """Tell whether this worker's partitions are assigned and recovered."""
        app = self._app
        return bool(app.tables.actives_ready and not app.rebalancing and not app.should_stop)

    def owner(self, state: State, partition: int) -> URL | None:
        """Return the worker that owns the partition; None where it is this one.

        Raises:
            Moving: nobody does at the moment, as far as this worker knows.
        """
        if not self.ready():
            raise Moving("partitions are being assigned or recovered")
        if partition in state.partitions():
            return None
        for url, topics in self._app.assignor.tables_metadata().items():
            if partition in topics.get(state.changelog, ()) and URL(url) != self._app.conf.canonical_url:
                return URL(url)
        raise Moving(f"partition {partition} of {state.name} has no owner")

    def others(self, state: State) -> tuple[URL, ...]:
        """Return every other worker that owns partitions of the table."""
        metadata = self._app.assignor.tables_metadata()
        here = self._app.conf.canonical_url
        return tuple(
            URL(url) for url, topics in metadata.items() if topics.get(state.changelog) and URL(url) != here
        )
