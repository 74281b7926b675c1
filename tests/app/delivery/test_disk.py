"""Partitions on the disk: what can't be opened ends the process, and what is not let go of yet does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.delivery.disk import DiskOptions

ROOT = Path(__file__).parents[3]


def test_a_partition_that_can_not_be_opened_ends_the_process_with_its_reason(
    tmp_path: Path, deaths: list[str]
) -> None:
    (tmp_path / "orders-1.db").touch()
    with pytest.raises(SystemExit):
        DiskOptions().open(tmp_path / "orders-1.db")
    assert deaths == [f"the table {tmp_path}/orders-1.db can't be opened: File exists (os error 17)"]


def test_a_partition_that_was_not_let_go_of_yet_is_left_to_be_tried_again(
    tmp_path: Path, deaths: list[str]
) -> None:
    held = DiskOptions().open(tmp_path / "orders-1.db")
    with pytest.raises(Exception, match="lock"):
        DiskOptions().open(tmp_path / "orders-1.db")
    held.close()
    DiskOptions().open(tmp_path / "orders-1.db").close()
    assert deaths == []


FILL = """
import os, sys
from pathlib import Path
from rocksdict import WriteBatch
from app.delivery.disk import DiskOptions

partition = DiskOptions().open(Path(sys.argv[1]))
for offset in range(3):
    rows = WriteBatch(raw_mode=True)
    rows.put(b"row", b"%d" % offset)
    rows.put(b"offset", b"%d" % offset)
    partition.write(rows)
    if offset == 0:
        partition.flush()
partition.put(b"offset", b"9")
if sys.argv[2] == "crash":
    os._exit(1)
partition.close()
"""


@pytest.mark.parametrize(
    ("how", "row", "offset"),
    [("crash", b"0", b"0"), ("close", b"2", b"9")],
)
def test_a_crash_takes_rows_and_their_offset_together_and_a_stop_takes_nothing(
    tmp_path: Path, how: str, row: bytes, offset: bytes
) -> None:
    """Or the changelog would be read on from behind rows that are gone, whoever wrote the offset, and how."""
    folder = tmp_path / "orders-1.db"
    subprocess.run([sys.executable, "-c", FILL, str(folder), how], check=how == "close", cwd=ROOT)  # noqa: S603
    partition = DiskOptions().open(folder)
    assert (partition.get(b"row"), partition.get(b"offset")) == (row, offset)


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the process live on, and remember what it would have died of."""
    reasons: list[str] = []

    def die(reason: str) -> None:
        reasons.append(reason)
        raise SystemExit

    monkeypatch.setattr("app.delivery.disk.die", die)
    return reasons
