"""What a rewind puts back, and what it leaves alone."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from app.errors import RewindRefused
from app.groups import Place
from app.rewind import run as rewinding
from app.rewind.command import Rewindable
from app.rewind.run import INPUTS, run
from app.settings import Settings
from app.stages import group_of, stages_of
from tests.docs.test_architecture import readers

REACHED = {
    ("ANALYTICS_EVENTS", 0): 7,
    ("ANALYTICS_EVENTS", 1): 0,
    ("ORDER_COMPLETED", 0): 5,
    ("ORDER_CREATED", 0): 9,
}
KNOWN = {
    "orders": REACHED,
    "orders-analytics": {("ANALYTICS_EVENTS", 1): 3},
    "orders-payments": {("ANALYTICS_EVENTS", 0): 1, ("PAYMENT_REQUESTED", 0): 4},
}


class FakeGroups:
    """Be the groups that Kafka knows, without members unless some are put in."""

    def __init__(self) -> None:
        self.known: dict[str, dict[Place, int]] = {name: dict(places) for name, places in KNOWN.items()}
        self.inside: dict[str, str] = {}

    def running(self, stage: str) -> list[str]:
        return [name for name in self.known if stage in stages_of(name)]

    def members(self, groups: Collection[str]) -> list[str]:
        return [f"{group}: {self.inside[group]}" for group in groups if group in self.inside]

    def committed(self, group: str) -> dict[Place, int]:
        return self.known[group]

    def put_back(self, group: str, offsets: Mapping[Place, int]) -> None:
        self.known[group] |= offsets


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> FakeGroups:
    """Give groups in place of Kafka's."""
    found = FakeGroups()
    monkeypatch.setattr(rewinding, "Groups", lambda _: found)
    return found


def rewind(stage: str, *, dry_run: bool = False, sure: bool = True) -> int:
    return run(Settings(), stage, dry_run=dry_run, confirm=lambda _: sure)


def test_every_stage_that_is_rewound_reads_what_its_agent_does_and_nobody_else() -> None:
    read = readers()
    assert set(INPUTS) == {*Rewindable}
    for stage, topics in INPUTS.items():
        assert {topic for topic, reader in read.items() if reader == stage} == {*topics}


def test_every_group_that_has_worked_on_the_topics_begins_anew_and_keeps_the_rest(groups: FakeGroups) -> None:
    assert rewind("analytics") == 0
    assert groups.known == {
        "orders": REACHED | {("ANALYTICS_EVENTS", 0): 0},
        "orders-analytics": {("ANALYTICS_EVENTS", 1): 0},
        "orders-payments": KNOWN["orders-payments"],
    }


@pytest.mark.parametrize(("answers", "code"), [({"dry_run": True}, 0), ({"sure": False}, 1)])
def test_nothing_is_done_unless_it_is_meant(groups: FakeGroups, answers: Any, code: int) -> None:
    assert rewind("analytics", **answers) == code
    assert groups.known == KNOWN


@pytest.mark.parametrize("inside", ["orders", "orders-analytics"])
def test_a_worker_of_the_stage_has_to_be_stopped_first(groups: FakeGroups, inside: str) -> None:
    groups.inside[inside] = "worker-1"
    with pytest.raises(RewindRefused, match=f"{inside}: worker-1"):
        rewind("analytics")
    assert groups.known == KNOWN


def test_workers_of_other_stages_may_run(groups: FakeGroups) -> None:
    groups.inside["orders-payments"] = "worker-1"
    assert rewind("transfer") == 0
    assert groups.known["orders"] == REACHED | {("ORDER_COMPLETED", 0): 0}


def test_where_nobody_has_worked_there_is_nothing_to_ask(groups: FakeGroups) -> None:
    assert rewind("notifications", sure=False) == 0
    assert groups.known == KNOWN


@pytest.mark.parametrize("stages", [("analytics",), ("orders", "inventory"), ("payments", "transfer")])
def test_the_stages_of_a_group_are_those_that_it_is_named_after(stages: tuple[str, ...]) -> None:
    assert stages_of(group_of(stages)) == stages
