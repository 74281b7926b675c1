import pytest

from app.load.figures import LONGEST_US, Latencies, Summary, Tally


def test_percentiles_are_right_to_three_digits() -> None:
    latencies = Latencies()
    for number in range(1, 100_001):
        latencies.record(number / 10_000)
    found = latencies.summary()
    assert found.count == 100_000
    assert found.avg == pytest.approx(5_000, rel=0.001)
    expected = [5_000, 9_000, 9_900, 9_990, 10_000]
    assert [found.p50, found.p90, found.p99, found.p99_9, found.max] == pytest.approx(expected, rel=0.001)


def test_what_two_clocks_make_negative_counts_as_nothing_and_what_is_too_long_as_the_longest() -> None:
    latencies = Latencies()
    latencies.record(-1)
    latencies.record(LONGEST_US)
    found = latencies.summary()
    assert (found.count, found.p50) == (2, 0)
    assert found.max == pytest.approx(LONGEST_US / 1000, rel=0.001)


def test_no_latencies_are_all_zero() -> None:
    assert Latencies().summary() == Summary(0, 0, 0, 0, 0, 0, 0)


def test_each_request_is_in_one_count() -> None:
    tally = Tally(offered=7, not_sent=1, unknown=2)
    for status in (202, 503, 202):
        tally.answered(status, 1.0, 1.5)
    assert (tally.accepted, tally.sent, tally.open) == (2, 5, 1)
    assert (tally.accepted_after.count, tally.refused_after.count) == (2, 1)
    assert tally.accepted_after.summary().max == pytest.approx(500, rel=0.001)
