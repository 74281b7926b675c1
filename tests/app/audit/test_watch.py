"""A watch outlasts a Kafka or a worker that is away, and says so once."""

from io import StringIO

import pytest
from prometheus_client import generate_latest
from rich.console import Console
from rich.progress import Progress

from app.audit.book import Totals
from app.audit.metrics import Metrics
from app.audit.report import Report, report
from app.audit.run import Stopped, Watch
from app.errors import AuditRefused, BrokerUnavailable, Failure, ScratchRefused

KAFKA = BrokerUnavailable("the Kafka at h:1 does not answer")
WORKER = AuditRefused("nobody answers at http://h:2")


class Looks:
    """Be an audit whose looks come out as they are given."""

    def __init__(self, *outcomes: Report | Exception) -> None:
        self._outcomes = list(outcomes)

    def look(self, _: Progress) -> Report:
        """Return the next report, or raise the next failure."""
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def seen(records: int) -> Report:
    return report(Totals(records=records), [], None)


def watch(*outcomes: Report | Exception) -> tuple[Watch, Metrics, StringIO]:
    """Return a watch over these looks, its metrics, and what it prints."""
    metrics, printed = Metrics(), StringIO()
    audit = Looks(*outcomes)
    return Watch(audit, metrics, Console(file=printed, width=80)), metrics, printed  # type: ignore[arg-type]


def figures(metrics: Metrics) -> set[str]:
    return set(generate_latest(metrics.registry).decode().splitlines())


@pytest.mark.parametrize("failure", [KAFKA, WORKER])
def test_what_is_away_is_said_once_and_counted_and_the_watch_goes_on(failure: Failure) -> None:
    watching, metrics, printed = watch(seen(5), failure, failure, failure, seen(7), failure)
    watching.look()
    at = next(line for line in figures(metrics) if line.startswith("orders_audit_last_look_timestamp"))
    for _ in range(3):
        watching.look()
    assert watching.found == seen(5)
    assert {"orders_audit_failed_looks_total 3.0", "orders_audit_looks_total 1.0", at} <= figures(metrics)
    assert printed.getvalue().count(str(failure)) == 1
    watching.look()
    assert watching.found == seen(7)
    assert {"orders_audit_failed_looks_total 3.0", "orders_audit_records 7.0"} <= figures(metrics)
    watching.look()
    assert printed.getvalue().count(str(failure)) == 2


def test_what_is_away_from_the_first_look_on_has_no_result_yet() -> None:
    watching, metrics, _ = watch(WORKER)
    watching.look()
    assert watching.found is None
    assert "orders_audit_last_look_timestamp_seconds 0.0" in figures(metrics)


@pytest.mark.parametrize("end", [Stopped(), ScratchRefused("the disk is full")])
def test_neither_ctrl_c_nor_a_full_disk_is_outlasted(end: Exception) -> None:
    watching, _, _ = watch(end)
    with pytest.raises(type(end)):
        watching.look()
