"""How outages are compared, and which of them have shown nothing."""

import pytest

from app.settings import current
from bench.scenarios import outages


def latencies(p50: float, p99: float) -> dict[str, float]:
    """Return the figures of a phase."""
    return {"p50_ms": p50, "p99_ms": p99}


def test_an_outage_is_compared_with_the_mean_of_the_healthy_phases() -> None:
    found = {
        "healthy": latencies(80, 300),
        "transfer slow": latencies(110, 200),
        "provider down": latencies(9_000, 9_000),
        "healthy again": latencies(120, 500),
    }
    (line,) = outages.remarks(found)
    assert "transfer slow 1.10 and 0.50" in line
    assert "healthy 0.80 and 0.75" in line
    assert "provider" not in line


def test_without_a_healthy_phase_there_is_nothing_to_compare_with() -> None:
    assert outages.remarks({}) == outages.remarks({"transfer slow": latencies(1, 2), "healthy": {}}) == []


@pytest.mark.parametrize("subject", ["notifications slow", "transfer failing", "analytics stopped"])
def test_an_outage_that_nobody_noticed_has_shown_nothing(subject: str) -> None:
    assert [*outages.blemishes(subject, {"waiting": 0, "repeats": 0})]
    assert not [*outages.blemishes(subject, {"waiting": 1, "repeats": 0})]


def test_nothing_waits_where_all_is_well_or_nobody_can_pay() -> None:
    for subject in ("healthy", "healthy again", "provider down"):
        assert not [*outages.blemishes(subject, {"waiting": 0, "repeats": 0})]


def test_the_same_may_come_again_only_where_a_worker_was_killed() -> None:
    figures = {"waiting": 1, "repeats": 2}
    assert not [*outages.blemishes("transfer stopped", figures)]
    (note,) = outages.blemishes("transfer failing", figures)
    assert note.startswith("2 messages")


def test_what_a_slow_receiver_takes_is_a_fraction_of_what_is_offered() -> None:
    for settings in (current().notifications, current().transfer):
        assert settings.timeout_ms > outages.SLOW_MS
        assert settings.max_in_flight * 1_000 / outages.SLOW_MS < outages.RATE


@pytest.mark.parametrize(
    "figures",
    [
        {"down_accepted": 5, "down_reserved": 4, "down_settled": 0},
        {"down_accepted": 5, "down_reserved": 5, "down_settled": 1},
    ],
    ids=["one was not reserved", "one was paid"],
)
def test_a_provider_that_is_down_keeps_no_order_from_its_stock_and_each_from_its_end(
    figures: dict[str, float],
) -> None:
    assert len([*outages.blemishes("provider down", {"repeats": 0, **figures})]) == 1
