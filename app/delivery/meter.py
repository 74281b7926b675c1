"""What each stage takes and how long it takes for it, by the step of delivery."""

import time
from types import MappingProxyType

from app import metrics

STEPS = MappingProxyType(
    {
        "begun": "decide",
        "states acknowledged": "states",
        "rows written": "rows",
        "messages acknowledged": "messages",
        "input acknowledged": "input",
    }
)
"""By what a batch has reached, the name of the step that led there."""


class Meter:
    """Measure one stage; its batches come one after the other."""

    def __init__(self, stage: str) -> None:
        self._inputs = metrics.STAGE_INPUTS.labels(stage)
        self._errors = metrics.STAGE_ERRORS.labels(stage)
        self._steps = {
            reached: metrics.STAGE_STEP_SECONDS.labels(stage, name) for reached, name in STEPS.items()
        }
        self._since = time.perf_counter()

    def take(self, inputs: int) -> None:
        """Begin with a batch of so many inputs."""
        self._inputs.observe(inputs)
        self._since = time.perf_counter()

    def reach(self, reached: str) -> None:
        """Note the time since the step before."""
        if (step := self._steps.get(reached)) is not None:
            now = time.perf_counter()
            step.observe(now - self._since)
            self._since = now

    def fail(self) -> None:
        """Count a batch that could not be processed as one."""
        self._errors.inc()
