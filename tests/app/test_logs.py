"""What a worker's log looks like, as text and as JSON."""

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from app import logs
from app.settings import Settings


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """Give back the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    for handler in {*root.handlers} - {*handlers}:
        root.removeHandler(handler)
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def log_something() -> None:
    logging.getLogger("app.test").warning("order %s is late", "order-1", extra={"order_id": "order-1"})
    logging.getLogger("app.test").debug("nobody asked")
    try:
        int("beyond counting")
    except ValueError:
        logging.getLogger("app.test").exception("it failed")


@pytest.mark.usefixtures("_own_logging")
def test_a_line_of_json_says_when_how_bad_who_what_and_about_which(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up(Settings(log_format="json"))
    log_something()
    late, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert late.pop("timestamp").endswith("Z")
    late.pop("message", None)  # left on the record by pytest's own formatter
    assert late == {
        "event": "order order-1 is late",
        "level": "warning",
        "logger": "app.test",
        "order_id": "order-1",
    }
    assert failed["level"] == "error"
    assert "beyond counting" in failed["exception"]


@pytest.mark.usefixtures("_own_logging")
def test_a_line_of_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Settings())
    log_something()
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING app.test: order order-1 is late")


@pytest.mark.usefixtures("_own_logging")
def test_libraries_are_kept_quiet_whatever_the_level_is(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Settings(log_level="debug"))
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("aiokafka.conn").warning("again")
    logging.getLogger("app.test").debug("shown")
    assert [line.rsplit(": ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["shown"]


@pytest.mark.parametrize(
    ("subject", "fields"),
    [
        (SimpleNamespace(order_id="order-1"), {"order_id": "order-1", "correlation_id": "order-1"}),
        (SimpleNamespace(correlation_id="restock-1"), {"correlation_id": "restock-1"}),
        (object(), {}),
    ],
)
def test_a_line_about_something_names_its_order_and_what_it_belongs_to(
    subject: object, fields: dict[str, str]
) -> None:
    assert logs.about(subject) == fields
