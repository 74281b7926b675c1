"""A scratch store on the disk: sorts any number of rows in bounded memory, and is gone when closed."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from app.errors import ScratchRefused

MIB = 1 << 20

CACHE_BYTES = 32 * MIB
"""What blocks, indexes and filters may take in memory."""

BUFFER_BYTES = 32 * MIB
"""What is collected in memory before it becomes a file; another such buffer may be on its way."""

BATCH_ROWS = 5_000
FILTER_BITS = 10
OPEN_FILES = 128
BACKGROUND = 2
READAHEAD_BYTES = 2 * MIB


class Scratch:
    """Keep rows in the order of their keys, in a folder of its own below the given one.

    One that is written `once`, and only then read, is spared the sorting of what is sorted already.
    """

    def __init__(
        self, folder: Path | None = None, *, name: str = "audit", once: bool = False, keep: bool = False
    ) -> None:
        try:
            self._folder = mkdtemp(prefix=f"order-saga-{name}-", dir=folder)
        except OSError as error:
            raise ScratchRefused(f"--scratch {folder}: {error.strerror}") from error
        self._keep = keep
        self._rows = Rdict(self._folder, _options(once=once))
        unlogged = WriteOptions()
        unlogged.disable_wal = True  # nobody reads it after a crash
        self._rows.set_write_options(unlogged)
        self._batch = WriteBatch(raw_mode=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # a full disk was told of before, and all of it is deleted anyway
            self._rows.close()
        if not self._keep:
            rmtree(self._folder, ignore_errors=True)

    def put(self, key: bytes, value: bytes) -> None:
        """Write a row, which can be read after the next `flush`."""
        self._batch.put(key, value)
        self._flush_if_full()

    def put_all(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Write many rows, which can be read after the next `flush`."""
        put = self._batch.put
        for key, value in rows:
            put(key, value)
        self._flush_if_full()

    def delete(self, key: bytes) -> None:
        """Delete a row, which is gone after the next `flush`."""
        self._batch.delete(key)
        self._flush_if_full()

    def flush(self) -> None:
        """Let all that was written be read.

        Raises:
            ScratchRefused: the disk does not take it.
        """
        if len(self._batch):
            try:
                self._rows.write(self._batch)
            except Exception as error:  # rocksdict has no kind of its own
                raise ScratchRefused(f"the scratch folder {self._folder}: {error}") from error
            self._batch = WriteBatch(raw_mode=True)

    def get(self, key: bytes) -> bytes | None:
        """Return a row, None where there is none."""
        value: bytes | None = self._rows.get(key)
        return value

    def scan(self, prefix: bytes, until: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows whose keys begin with the prefix, in order, or those before `until`."""
        ahead = ReadOptions()
        ahead.set_readahead_size(READAHEAD_BYTES)
        return self._rows_of(prefix, until, ahead)

    def look(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the few rows whose keys begin with the prefix."""
        return self._rows_of(prefix, b"", ReadOptions())

    def _rows_of(self, prefix: bytes, until: bytes, how: ReadOptions) -> Iterator[tuple[bytes, bytes]]:
        # RocksDB's own upper bound would save nothing here, and dangles in rocksdict 0.3.29 when `how` goes.
        for key, value in self._rows.items(from_key=prefix, read_opt=how):
            if not key.startswith(prefix) or (until and key >= until):
                return
            yield key, value

    def _flush_if_full(self) -> None:
        if len(self._batch) >= BATCH_ROWS:
            self.flush()


def _options(*, once: bool) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(CACHE_BYTES))
    blocks.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    if once:
        options.set_disable_auto_compactions(True)  # RocksDB's own signature
    else:
        blocks.set_bloom_filter(FILTER_BITS, block_based=False)
    options.create_if_missing(True)  # noqa: FBT003  # RocksDB's own signature
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(OPEN_FILES)
    options.set_max_background_jobs(BACKGROUND)
    return options
