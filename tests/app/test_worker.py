"""What a worker does not start with: one sentence that says what it is, and what to do."""

import faust
import pytest
from faust import streams

from app import worker
from app.errors import WorkerRefused
from app.main import create
from app.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PROCESSING_GUARANTEE", "exactly_once"), ("CONSUMER_AUTO_OFFSET_RESET", "latest")],
)
def test_what_would_break_the_promise_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(WorkerRefused, match=f"^{variable}='{value}': .* unset it$"):
        worker.run()


def test_an_unsupported_faust_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust, "__version__", "0.16.0")
    with pytest.raises(WorkerRefused, match=r"faust-streaming is 0\.16\.0, .* 0\.15\.3"):
        worker.run()


def test_a_faust_without_its_compiled_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CStreamIterator", None)
    with pytest.raises(WorkerRefused, match="compiled part"):
        worker.run()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PROCESSING_GUARANTEE", "exactly_once"), ("APP_VERSION", "7"), ("TABLE_STANDBY_REPLICAS", "2")],
)
def test_nothing_in_the_environment_changes_what_the_app_says(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    conf = create(Settings()).conf
    assert conf.processing_guarantee.value == "at_least_once"
    assert conf.consumer_auto_offset_reset == "earliest"
    assert (conf.id, conf.table_standby_replicas) == ("orders", 0)
