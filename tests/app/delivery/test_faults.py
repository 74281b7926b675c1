"""Fault points: nothing without the word, and then exactly where it says."""

import os
import signal
import time

import pytest

from app.delivery.faults import FOR_EVER_S, STEPS, nowhere, points


def test_a_worker_that_was_told_nothing_goes_on() -> None:
    assert points("orders", "") is nowhere


def test_a_stage_that_is_not_meant_goes_on() -> None:
    assert points("orders", "begun@payments:1") is nowhere


@pytest.mark.parametrize("step", STEPS)
def test_the_process_ends_the_time_that_was_chosen(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *what: killed.append(what))
    reach = points("orders", f"{step}@orders:3")
    for _ in range(2):
        for each in STEPS:
            reach(each)
    assert killed == []
    reach(step)
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_the_loop_stalls_where_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    reach = points("orders", "begun@orders:2:stall")
    reach("begun")
    assert slept == []
    reach("begun")
    assert slept == [FOR_EVER_S]


@pytest.mark.parametrize(
    "chosen",
    ["begun", "begun@orders", "begun@orders:0", "landed@orders:1", "@orders:1", "begun@orders:1:stop"],
)
def test_a_choice_that_means_nothing_is_refused(chosen: str) -> None:
    with pytest.raises(ValueError, match="expected STEP@STAGE:TIME"):
        points("orders", chosen)
