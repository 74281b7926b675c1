"""The providers that this process calls, and whether each may be called: for health, timers and metrics."""

import logging
from functools import partial
from typing import Protocol

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


class Guarded(Protocol):
    """Be the settings of a provider."""

    @property
    def breaker_failures(self) -> int:
        """Return how many failures in a row open its breaker."""

    @property
    def breaker_pause_ms(self) -> int:
        """Return how long it stays open."""


def _breaker_of(settings: Guarded) -> Breaker:
    return Breaker(settings.breaker_failures, settings.breaker_pause_ms / 1_000)


payment = _breaker_of(current().payment)
"""The payment provider's."""

notifications = _breaker_of(current().notifications)
"""That of the channel to customers."""

transfer = _breaker_of(current().transfer)
"""The external system's."""

_breakers = {"payment": payment}
if "notifications" in current().active_stages:
    _breakers["notifications"] = notifications
if "transfer" in current().active_stages:
    _breakers["transfer"] = transfer

for _name, _breaker in _breakers.items():
    _breaker.watch(partial(_note, _name))
    metrics.BREAKER_OPEN.labels(_name).set_function(
        lambda breaker=_breaker: float(breaker.state is not BreakerState.CLOSED)  # type: ignore[misc]
    )
