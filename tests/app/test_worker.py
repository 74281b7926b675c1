"""What a worker does not start with: one sentence that says what it is, and what to do."""

from pathlib import Path

import faust
import pytest
from faust import streams

from app import folders, worker
from app.errors import WorkerRefused
from app.main import create
from app.settings import Settings, WebSettings
from tests.e2e.system import free_port


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


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have workers keep their folders in one of the test's own; return it."""
    settings = Settings(data_dir=tmp_path / "data", worker_id="twin", web=WebSettings(port=free_port()))
    monkeypatch.setattr(worker, "current", lambda: settings)
    return settings.data_dir


def test_a_folder_that_another_process_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    monkeypatch.setattr(folders, "PATIENCE_S", 0)
    lock = folders.lock(elsewhere / "worker-twin")
    assert lock is not None
    with (
        lock,
        pytest.raises(
            WorkerRefused, match=f"^the folder {elsewhere}/worker-twin is in use by another worker"
        ),
    ):
        worker.run()


def test_a_folder_that_can_not_be_made_is_refused(elsewhere: Path) -> None:
    elsewhere.touch()
    with pytest.raises(WorkerRefused, match=f"^the folder {elsewhere}/worker-twin can't be used: Not a dir"):
        worker.run()
