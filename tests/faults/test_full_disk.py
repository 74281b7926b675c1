"""A disk that is full under a worker's state: it ends and says so, and goes on once there is room."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import aiohttp
import pytest

from tests.e2e.shop import Shop
from tests.e2e.system import READY_S, System
from tests.faults.crowd import Crowd, sold_again
from tests.faults.judging import Judge
from tests.faults.test_repeated import some_stock, stocked
from tests.faults.trial import Trial

EXIT_CODE = 70
SIZE = "400m"
MIB = 2**20
END_S = 90


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of its own, in memory, which takes the right to mount one."""
    mounted = run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", tmp_path)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    assert run("umount", "--lazy", tmp_path).returncode == 0


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the machine's."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # see the callers


def fill(disk: Path) -> Path:
    """Fill the disk up to its last byte; return the file that does."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with pytest.raises(OSError, match="No space left on device"):
                write_on(file, size)
    return filler


def write_on(file: IO[bytes], size: int) -> NoReturn:
    """Write so many bytes again and again, for as long as there is room."""
    while True:
        file.write(b"\0" * size)


@pytest.mark.full
@pytest.mark.timeout(240)
async def test_a_worker_on_a_full_disk_ends_with_its_reason_and_goes_on_once_there_is_room(
    trial: Trial, patient: System, port: int, session: aiohttp.ClientSession, small: Path
) -> None:
    place = {"ORDERS_DATA_DIR": str(small)}
    worker, url = await patient.worker(port, place)
    stock = some_stock()
    skus, shop, judge = [*stock], Shop(session, url), Judge(trial, patient, stock)
    await stocked(shop, stock)
    async with Crowd(judge, (shop,), skus, trial.random).shopping(16):
        filler = await asyncio.to_thread(fill, small)
        assert await asyncio.to_thread(worker.wait_until_done, END_S) == EXIT_CODE
    since = time.monotonic()
    assert "exit without acknowledging" in worker.last_lines(1)
    assert "No space left on device" in worker.last_lines(1)
    trial.hit(await asyncio.to_thread(judge.in_flight))

    for _ in range(2):  # what a start leaves behind must not be less than what it found
        worker.start()
        assert await asyncio.to_thread(worker.wait_until_done, READY_S) == EXIT_CODE
        assert "can't be opened: IO error: No space left on device" in worker.last_lines(1)
    filler.unlink()
    await patient.worker(port, place)
    await sold_again(judge, (shop,), skus[:-1])
    trial.recovered(since)
    await judge.all_is_well(shop)
    assert await asyncio.to_thread(patient.workers[port].stop) == 0
