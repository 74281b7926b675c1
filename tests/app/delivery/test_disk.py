"""Partitions on the disk: what can't be opened ends the process, and what is not let go of yet does not."""

from pathlib import Path

import pytest

from app.delivery.disk import DiskOptions


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


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the process live on, and remember what it would have died of."""
    reasons: list[str] = []

    def die(reason: str) -> None:
        reasons.append(reason)
        raise SystemExit

    monkeypatch.setattr("app.delivery.disk.die", die)
    return reasons
