"""How tables lie on the disk: RocksDB, one for each partition of each table, sharing one cache.

Faust gives each of them a cache of its own, so that a worker's memory would grow with its partitions; and a
filter of three bits a key, with which a fourth of the look-ups of what is not there read the disk. And what
was there before would be opened as it was left, with a cache of its own (docs/adr/0029). Leans on faust
0.15.3's `stores.rocksdb.RocksDBOptions`.
"""

from pathlib import Path
from typing import Any

from faust.stores.rocksdb import RocksDBOptions
from rocksdict import BlockBasedOptions, Cache, Rdict

from app.delivery.exits import die

MIB = 1 << 20

CACHE_BYTES = 32 * MIB
"""What all partitions' blocks may take together."""

BUFFER_BYTES = 4 * MIB
"""What one partition collects in memory before it becomes a file; another such buffer may be on its way."""

FILTER_BITS = 10
"""One look-up in a hundred of what is not there reads a block."""

OPEN_FILES = 256

ROWS = "default"
"""RocksDB's name for the only column family."""

_cache = Cache(CACHE_BYTES)


class DiskOptions(RocksDBOptions):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's options, with one cache for all and a better filter, for what was there before as well."""

    def __init__(self) -> None:
        super().__init__(max_open_files=OPEN_FILES, write_buffer_size=BUFFER_BYTES, max_write_buffer_number=2)

    def open(self, path: Path, *, read_only: bool = False) -> Any:  # noqa: ARG002  # Faust never does
        """Open a partition; end the process where that can't be done.

        Faust would end as well, in a hundred lines, of which none says what is wrong.
        """
        options = self.as_options()
        try:
            # What is not said of a column family rocksdict takes from the folder.
            return Rdict(str(path), options, column_families={ROWS: options})
        except Exception as error:  # rocksdict knows no other
            if "lock" in repr(error):  # it was not let go of yet: Faust tries again
                raise
            die(f"the table {path} can't be opened: {error}")

    def as_options(self) -> Any:
        """Return the options of one partition's RocksDB."""
        options = super().as_options()
        blocks = BlockBasedOptions()
        blocks.set_block_cache(_cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_bloom_filter(FILTER_BITS, block_based=False)
        options.set_block_based_table_factory(blocks)
        return options
