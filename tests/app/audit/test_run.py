"""What an audit goes by: the settings of the system, unless it is told otherwise."""

from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from app.audit.run import Audit, Options
from app.scratch import Scratch
from app.settings import SagaSettings, Settings, load


def deadline(settings: Settings, options: Options, folder: Path) -> timedelta:
    """Return what an audit that is made so gives an order to end."""
    with Scratch(folder) as scratch:
        audit = Audit(settings, options, scratch, Event())
        audit.close()
        return audit.deadline


@pytest.mark.parametrize(
    ("saga", "seconds"),
    [
        (SagaSettings(), 900),
        (SagaSettings(pending_ms=1_000, paying_ms=2_000), 303),
        (SagaSettings(pending_ms=3_600_000, paying_ms=86_400_000), 90_300),
    ],
)
def test_an_order_has_as_long_as_the_settings_let_it_wait_and_a_margin(
    saga: SagaSettings, seconds: int, tmp_path: Path
) -> None:
    settings = load().model_copy(update={"saga": saga})
    assert deadline(settings, Options(), tmp_path) == timedelta(seconds=seconds)


def test_a_deadline_that_is_given_is_taken(tmp_path: Path) -> None:
    given = timedelta(seconds=5)
    assert deadline(load(), Options(deadline=given), tmp_path) == given
