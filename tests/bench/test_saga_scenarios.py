"""What the scenarios of the whole saga say below their tables, and read out of a log."""

from bench.scenarios import backlog, flash_sale, growth, rebuild, recovery, saga


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


def test_remarks_sum_up_what_was_measured() -> None:
    assert saga.remarks({"worker": {"worker_us": 500.0}})[0].endswith("2,000 orders/s at the burst")
    sale = {"worker": {"accepted": 3_000.0, "settled_s": 2.0}}
    assert "1,500 orders/s" in flash_sale.remarks(sale)[0]
    assert "+20 MiB" in backlog.remarks({"worker": {"peak_rss_mib": 120.0, "before_peak_mib": 100.0}})[0]


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
