"""Partitions on the disk share a cache; one that can't be opened ends the process, one held does not."""

from pathlib import Path
from typing import Any

import pytest

from app.delivery.disk import MIB, DiskOptions


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


def test_partitions_share_one_cache_also_when_they_were_there_before(tmp_path: Path) -> None:
    for name in ("orders-1.db", "orders-2.db"):
        partition = DiskOptions().open(tmp_path / name)
        partition.put(b"key", b"row" * 1_000)
        partition.close()
    one, other = (DiskOptions().open(tmp_path / name) for name in ("orders-1.db", "orders-2.db"))
    before = cached_bytes(other)
    assert one.get(b"key") == b"row" * 1_000
    assert cached_bytes(other) >= before + 3_000
    one.close()
    other.close()


def test_a_partition_that_was_there_before_has_the_options_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DiskOptions().open(tmp_path / "orders-1.db").close()
    monkeypatch.setattr("app.delivery.disk.BUFFER_BYTES", 7 * MIB)
    DiskOptions().open(tmp_path / "orders-1.db").close()
    newest = max((tmp_path / "orders-1.db").glob("OPTIONS-*"))
    assert f"  write_buffer_size={7 * MIB}\n" in newest.read_text()


def cached_bytes(partition: Any) -> int:
    """Return how much is in the cache that the partition looks into."""
    usage: int = partition.property_int_value("rocksdb.block-cache-usage")
    return usage


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the process live on, and remember what it would have died of."""
    reasons: list[str] = []

    def die(reason: str) -> None:
        reasons.append(reason)
        raise SystemExit

    monkeypatch.setattr("app.delivery.disk.die", die)
    return reasons
