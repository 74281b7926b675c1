"""The providers that this process calls, and whether each may be called: for health, timers and metrics."""

import logging
from functools import partial

from app import metrics
from app.breaker import Breaker, BreakerState
from app.settings import current

logger = logging.getLogger(__name__)


def find_states() -> dict[str, BreakerState]:
    """Return the state of each provider's breaker in this process, by the provider's name."""
    return {name: breaker.state for name, breaker in _breakers.items()}


def _note(name: str, state: BreakerState) -> None:
    if state is BreakerState.CLOSED:
        logger.warning("the %s provider answers again: its calls are made", name)
    else:
        logger.warning("the %s provider does not answer: no calls for a while, then one that tries", name)


payment = Breaker(current().payment.breaker_failures, current().payment.breaker_pause_ms / 1_000)
"""The payment provider's."""

payment.watch(partial(_note, "payment"))

_breakers = {"payment": payment}

for _name, _breaker in _breakers.items():
    metrics.BREAKER_OPEN.labels(_name).set_function(
        lambda breaker=_breaker: float(breaker.state is not BreakerState.CLOSED)  # type: ignore[misc]
    )
