"""Which changelogs a folder was made from: noted once, and compared from then on."""

from pathlib import Path

from app.delivery.origin import FILE, fault_of_origin

THESE = {"orders-changelog": "one", "payments-changelog": "two"}


def test_a_folder_is_of_the_changelogs_that_it_was_first_used_with(tmp_path: Path) -> None:
    for _ in range(2):
        assert fault_of_origin(tmp_path, THESE) is None
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_folder_of_other_changelogs_is_refused_and_stays_theirs(tmp_path: Path) -> None:
    fault_of_origin(tmp_path, THESE)
    for _ in range(2):
        assert fault_of_origin(tmp_path, {**THESE, "payments-changelog": "three"}) == (
            "payments-changelog is three in this Kafka, but this worker's folder was made from two"
        )
    assert fault_of_origin(tmp_path, THESE) is None


def test_changelogs_may_come_later_than_others(tmp_path: Path) -> None:
    fault_of_origin(tmp_path, THESE)
    later = {"letters-changelog": "four"}
    assert fault_of_origin(tmp_path, later) is None
    assert fault_of_origin(tmp_path, {"letters-changelog": "five"}) is not None
    assert fault_of_origin(tmp_path, {**THESE, **later}) is None
