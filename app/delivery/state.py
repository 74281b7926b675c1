"""Tables whose writes are confirmed: acknowledged by the changelog before they reach RocksDB.

Faust declares the table, assigns its partitions and opens them; `app/delivery/recovery.py` brings them up to
the changelog. There are no standby copies. Reads and writes go to Faust's RocksDB, by partition: Faust's own
would write the disk first, ask for no acknowledgement, and guess the partition (docs/adr/0003). Leans on
faust 0.15.3's `stores.rocksdb.Store`: `_dbs`, `offset_key`, `rocksdb_options`.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import faust
from rocksdict import ReadOptions, WriteBatch

from app.delivery import stalls
from app.delivery.codec import Coder
from app.delivery.disk import DiskOptions
from app.delivery.exits import die
from app.delivery.turn import Turn
from app.settings import Settings
from app.topics import changelog_of

logger = logging.getLogger(__name__)

T = TypeVar("T")


CLAIM = b"\x00claim"
"""The key of the records by which workers claim a partition of a changelog; no row has it."""


PIECE = 100
"""How many rows a walk reads at once: a fraction of a turn."""


class Gap(NamedTuple):
    """Be the offsets of a changelog, up to `end`, where somebody else's records stand before one's own."""

    first: int
    end: int


class NotHere(LookupError):  # noqa: N818  # reads as the verdict on a look-up
    """Say that this worker does not hold the partition, or not yet."""


class State:
    """Be one changelog-backed table, by partition, in bytes.

    Where several stages write it, it is `shared`: they take turns. Where it is not `here`, another group of
    workers has all of it, and Faust is not told of it.
    """

    def __init__(
        self, app: faust.App, name: str, settings: Settings, *, shared: bool = False, here: bool = True
    ) -> None:
        self.name = name
        self.changelog = changelog_of(name)
        self._app = app
        self.shared = shared
        self.here = here
        self.turn = asyncio.Lock()
        self._ends: dict[int, int] = {}
        self._watchers: defaultdict[bytes, set[asyncio.Future[None]]] = defaultdict(set)
        self.table: Any = _declare(app, name, settings.partitions) if here else None

    def prepare(self) -> None:
        """Say how partitions are to lie on the disk, before the first is opened."""
        self.table.data.rocksdb_options = DiskOptions()

    def on_recovered(self, find: Callable[[], None]) -> Callable[[], None]:
        """Call the function whenever this worker's partitions were assigned and recovered."""

        async def recovered() -> None:
            try:
                with stalls.excused():
                    find()
            except Exception as error:  # Faust would swallow it, and go on without what was to be found
                logger.critical("what was recovered can't be read", exc_info=error)
                die(repr(error))

        if self.here:
            self.table.on_recover(recovered)
        return find

    def partitions(self) -> frozenset[int]:
        """Return the partitions that this worker owns, recovered or not."""
        actives = self._app.assignor.assigned_actives()
        return frozenset(tp.partition for tp in actives if tp.topic == self.changelog)

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return the value under the key, None where there is none.

        Raises:
            NotHere: the partition is not open on this worker.
        """
        value: bytes | None = self._db(partition).get(key)
        return value

    def load(self, partition: int, key: bytes, coder: Coder[T]) -> T | None:
        """Return what the value under the key stands for, None where there is none.

        Raises:
            NotHere: the partition is not open on this worker.
        """
        raw = self.get(partition, key)
        return None if raw is None else coder.decode(raw)

    def scan(self, partition: int, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values that begin with the prefix, in the order of their keys, from `after` on.

        Raises:
            NotHere: the partition is not open on this worker.
        """
        start = max(prefix, after)
        for key, value in self._db(partition).items(from_key=start, read_opt=ReadOptions()):
            if not key.startswith(prefix):
                return
            if key not in (after, self.table.data.offset_key):
                yield key, value

    async def walk(
        self, partition: int, prefix: bytes, after: bytes, turn: Turn
    ) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yield what `scan` does, however much it is, and give way meanwhile, whatever is done with each row.

        What is written by others in their turns may be among it or not. No iterator of RocksDB is kept for
        as long: it would keep a partition from being let go of.

        Raises:
            NotHere: the partition is not open on this worker, or no longer.
        """
        while rows := [*islice(self.scan(partition, prefix, after), PIECE)]:
            for row in rows:
                yield row
                await turn.look()
            after, _ = rows[-1]

    def begin(self, partition: int, claim: int) -> None:
        """Be recovered up to this worker's claim, at this offset of the changelog."""
        self.recover(partition, (), claim)
        self._ends[partition] = claim + 1

    def gap(self, partition: int, offset: int, count: int) -> Gap | None:
        """Return what lies between the last row that was written and so many up to this offset, if anything.

        Raises:
            NotHere: the partition was never claimed.
        """
        first = offset - count + 1
        if partition not in self._ends:
            raise NotHere(f"partition {partition} of {self.name} is not this worker's")
        expected = self._ends[partition]
        return None if first == expected else Gap(expected, first)

    def write(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write rows that the changelog has acknowledged up to this offset, all or none; None deletes."""
        self.recover(partition, rows, offset)
        self._ends[partition] = offset + 1
        if self._watchers:
            self._notify(key for key, _ in rows)

    def recover(self, partition: int, rows: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write rows as `write` does, from any thread: while a table is recovered nobody waits for a row."""
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.table.data.offset_key, str(offset).encode())
        self._db(partition).write(batch)

    def restore(self, partition: int, key: bytes, value: bytes) -> None:
        """Write what follows from rows that the changelog has already: on this disk alone."""
        self._db(partition).put(key, value)

    async def changed(self, key: bytes, timeout_s: float) -> bool:
        """Wait for the next write under this key on this worker; False when none came in time."""
        watcher = asyncio.get_running_loop().create_future()
        self._watchers[key].add(watcher)
        try:
            await asyncio.wait_for(watcher, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]
        return True

    def _notify(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            for watcher in self._watchers.get(key, ()):
                if not watcher.done():
                    watcher.set_result(None)

    def _db(self, partition: int) -> Any:
        if not self.here:
            raise NotHere(f"{self.name} is of a stage that this worker does not run")
        try:
            return self.table.data._dbs[partition]  # noqa: SLF001  # see the module's docstring
        except KeyError:
            raise NotHere(f"partition {partition} of {self.name} is not open on this worker") from None


def _declare(app: faust.App, name: str, partitions: int) -> Any:
    changelog = app.topic(changelog_of(name), key_type=bytes, value_type=bytes, partitions=partitions)
    return app.Table(name, key_type=bytes, value_type=bytes, partitions=partitions, changelog_topic=changelog)
