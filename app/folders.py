"""Folders that a process has to itself."""

import fcntl
import time
from pathlib import Path
from typing import IO

PATIENCE_S = 2.0
"""How long a process that was just killed may need to go."""

LOOK_AGAIN_S = 0.05


def lock(folder: Path) -> IO[bytes] | None:
    """Return a lock on the folder, made if need be, None where another process has it and keeps it.

    It holds until every process that has it open is gone.

    Raises:
        OSError: the folder can't be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("ab")
    deadline = time.monotonic() + PATIENCE_S
    while not _locked(file):
        if time.monotonic() > deadline:
            file.close()
            return None
        time.sleep(LOOK_AGAIN_S)
    return file


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
