"""What the scenarios of the whole saga say below their tables, and read out of a log."""

from itertools import chain

from bench.orders import INPUTS, READ_BY
from bench.scenarios import backlog, flash_sale, growth, rebuild, recovery, saga, workers
from bench.system import STAGES


def test_recovery_is_what_the_worker_says_last() -> None:
    log = "x INFO y: recovered 5 rows in 0.1 s\nz: recovered 1000000 rows in 12.5 s\n"
    assert recovery.recovered(log) == (1_000_000, 12.5)
    assert recovery.recovered("") == (0, 0.0)


def test_growth_compares_the_last_size_with_the_first() -> None:
    found = {"10^3": {"worker_us": 400.0}, "10^6": {"worker_us": 500.0}}
    assert growth.remarks(found) == ["worker CPU per order: 10^6/10^3 1.25"]
    assert growth.remarks({"10^3": {"worker_us": 400.0}}) == []


def test_remarks_are_left_out_where_nothing_was_measured() -> None:
    assert saga.remarks({}) == flash_sale.remarks({}) == backlog.remarks({"worker": {}}) == []
    assert workers.remarks({"one": {"steady_2000_avg_ms": 900.0}, "two alike": {}}) == []
    assert workers.remarks({"two alike": {"steady_2000_avg_ms": 900.0}}) == []


def test_remarks_sum_up_what_was_measured() -> None:
    assert saga.remarks({"worker": {"worker_us": 500.0}})[0].endswith("2,000 orders/s at the burst")
    sale = {"worker": {"accepted": 3_000.0, "settled_s": 2.0}}
    assert "1,500 orders/s" in flash_sale.remarks(sale)[0]
    assert "+20 MiB" in backlog.remarks({"worker": {"peak_rss_mib": 120.0, "before_peak_mib": 100.0}})[0]


def test_two_workers_are_compared_with_one() -> None:
    found = {"one": {"steady_2000_avg_ms": 9_000.0}, "two by stage": {"steady_2000_avg_ms": 900.0}}
    assert workers.remarks(found) == ["average at 2,000/s by that of one: two by stage 0.10"]


def test_every_share_of_the_stages_is_the_whole_saga() -> None:
    assert all(set(chain.from_iterable(shares)) == set(STAGES) for shares in workers.SHARES.values())


def test_the_stages_read_all_that_a_worker_of_the_saga_does() -> None:
    assert sorted(READ_BY) == sorted(STAGES)
    assert len(set(INPUTS)) == len(INPUTS)


def test_a_rebuild_is_measured_from_its_beginning_to_its_end() -> None:
    seconds = {"all": 4.0, "read": 1.0, "fold": 2.0}
    found = {"records": 200, "live_records": 0, "found": {"orders": 2, "payments": 1}, "seconds": seconds}
    assert rebuild.figures(found) == {
        "events": 200,
        "live_records": 0,
        "events_per_s": 50.0,
        "all_s": 4.0,
        "read_s": 1.0,
        "live_s": 0.0,
        "fold_s": 2.0,
        "differences": 3,
    }
