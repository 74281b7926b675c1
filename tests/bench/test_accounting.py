"""What the benchmark reads from /proc."""

import os
import time

import pytest

from bench import accounting, machine

STAT = "4711 (kafka (a) b) S 1 4711 4711 0 -1 4194560 9 9 9 9 1234 66 7 8 20 0 31 0 99"
STATUS = "Name:\tjava\nVmPeak:\t 9000000 kB\nVmHWM:\t  524288 kB\nVmRSS:\t  400000 kB\n"


def test_cpu_is_user_and_system_time_whatever_the_command_is_called() -> None:
    assert accounting.ticks_of(STAT) == 1234 + 66


def test_peak_memory_is_the_high_water_mark() -> None:
    assert accounting.peak_kib_of(STATUS) == 524_288


def test_a_process_that_has_ended_holds_nothing() -> None:
    assert accounting.peak_kib_of("Name:\tjava\nState:\tZ (zombie)\n") == 0


def test_work_is_seen_in_the_books_of_this_process() -> None:
    before = accounting.cpu_s(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert accounting.cpu_s(os.getpid()) - before == pytest.approx(0.1, abs=0.05)
    assert accounting.peak_rss_mib(os.getpid()) > 1


def test_the_machine_is_named_as_the_kernel_names_it() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n") == "Some CPU @ 3 GHz"
    assert machine.cpu_model("no such line") != ""
    assert machine.memory_mib("MemTotal:       16384000 kB\n") == 16_000


def test_only_packages_that_are_installed_have_a_version() -> None:
    assert set(machine.versions("orjson", "no-such-package-at-all")) == {"orjson"}


def test_memory_that_is_held_now_is_the_resident_set() -> None:
    assert accounting.rss_kib_of(STATUS) == 400_000


def test_busy_is_whatever_is_not_idle_and_guests_are_not_counted_twice() -> None:
    assert accounting.busy_ticks_of("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9\n") == 63
