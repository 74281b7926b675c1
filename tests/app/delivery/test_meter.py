"""What is measured of a stage: each batch, and each step that it reached."""

from app import metrics
from app.delivery.faults import STEPS
from app.delivery.meter import STEPS as MEASURED
from app.delivery.meter import Meter


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_every_step_of_delivery_is_measured_but_the_one_amid_the_rows() -> None:
    assert set(STEPS) - set(MEASURED) == {"some rows written"}


def test_a_batch_counts_its_inputs_and_the_steps_it_reached() -> None:
    meter = Meter("measured")
    meter.take(7)
    for step in ("begun", "states acknowledged", "some rows written", "rows written"):
        meter.reach(step)
    assert sample("orders_stage_batch_inputs_sum", stage="measured") == 7
    counts = {
        step: sample("orders_stage_step_seconds_count", stage="measured", step=step)
        for step in MEASURED.values()
    }
    assert counts == {"decide": 1, "states": 1, "rows": 1, "messages": 0, "input": 0}


def test_the_time_of_a_step_begins_where_the_one_before_ended() -> None:
    meter = Meter("timed")
    meter.take(1)
    meter.reach("begun")
    meter.reach("states acknowledged")
    spent = sum(
        sample("orders_stage_step_seconds_sum", stage="timed", step=step) for step in ("decide", "states")
    )
    assert 0 < spent < 60


def test_a_batch_that_fails_counts_as_an_error() -> None:
    Meter("failing").fail()
    assert sample("orders_stage_errors_total", stage="failing") == 1
