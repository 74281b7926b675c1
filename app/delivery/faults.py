"""Fault points: a worker that ends, or stalls, at a chosen step, so that tests can look at what is left.

`FAULT_POINT="rows written@orders:3"` kills the process, as SIGKILL does, the third time that the stage
`orders` has reached that step; with `:stall` behind it the loop turns no more. Without the variable nothing
is ever done here.
"""

import logging
import os
import re
import signal
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

VARIABLE = "FAULT_POINT"
STEPS = (
    "begun",
    "states acknowledged",
    "some rows written",
    "rows written",
    "messages acknowledged",
    "input acknowledged",
)
"""The steps of delivery behind which a process can end, in their order."""

_FORM = re.compile(r"(?P<step>[a-z ]+)@(?P<stage>\w+):(?P<time>[1-9]\d*)(?P<stall>:stall)?")

FOR_EVER_S = 86_400.0

Reach = Callable[[str], None]
"""What is called with each step that a stage's batch has reached."""


def points(stage: str, chosen: str) -> Reach:
    """Return what ends or stalls the process at the step that was chosen for this stage, if one was.

    Raises:
        ValueError: there is no such step, or the choice has another form.
    """
    if not chosen:
        return nowhere
    form = _FORM.fullmatch(chosen)
    if form is None or form["step"] not in STEPS:
        raise ValueError(
            f"{VARIABLE}={chosen!r}: expected STEP@STAGE:TIME[:stall] with a step of {', '.join(STEPS)}"
        )
    if form["stage"] != stage:
        return nowhere
    logger.warning("a test has chosen a fault for this process: %s", chosen)
    left = int(form["time"])

    def reach(step: str) -> None:
        nonlocal left
        if step == form["step"]:
            left -= 1
            if left == 0 and form["stall"]:
                time.sleep(FOR_EVER_S)
            elif left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


def nowhere(_step: str) -> None:
    """Go on, whatever the step."""
