"""What the processes of a rebuild leave for each other: rows of the scratch store, a file for each pair."""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

HEAD = struct.Struct(">HI")
BUFFER_BYTES = 1 << 20


class Mail:
    """Leave rows for other processes; all are there once this is closed."""

    def __init__(self, folder: Path, sender: int, jobs: int) -> None:
        self._files = {
            job: _box(folder, sender, job).open("wb", buffering=BUFFER_BYTES)
            for job in range(jobs)
            if job != sender
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def leave(self, job: int, key: bytes, value: bytes) -> None:
        """Leave a row for another process."""
        self._files[job].write(HEAD.pack(len(key), len(value)) + key + value)


def collect(folder: Path, job: int, jobs: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the others have left for this process, and delete it."""
    for sender in range(jobs):
        if sender != job:
            box = _box(folder, sender, job)
            with box.open("rb", buffering=BUFFER_BYTES) as file:
                while head := file.read(HEAD.size):
                    key_size, value_size = HEAD.unpack(head)
                    yield file.read(key_size), file.read(value_size)
            box.unlink()


def _box(folder: Path, sender: int, job: int) -> Path:
    return folder / f"mail-{sender}-{job}"
