"""How accepted orders end: matched by their ids, in whichever order the two are heard of."""

from collections import OrderedDict
from typing import NamedTuple

from app.load.figures import Latencies

STRANGERS = 100_000
"""How many ends are remembered of orders that are not known: of other customers, or not yet answered."""


class Ending(NamedTuple):
    """Be the end of an order: `outcome` is its status, with the reason of a cancelled one."""

    order_id: str
    outcome: str
    at: float


class Settlements:
    """Count how orders ended, and how long after the intended time of their POST."""

    def __init__(self) -> None:
        self.after: dict[str, Latencies] = {}
        self.last_at = 0.0
        self._open: dict[str, float] = {}
        self._strangers: OrderedDict[str, Ending] = OrderedDict()

    @property
    def open(self) -> int:
        """Return how many accepted orders have not ended yet."""
        return len(self._open)

    @property
    def count(self) -> int:
        """Return how many accepted orders have ended."""
        return sum(latencies.count for latencies in self.after.values())

    def accepted(self, order_id: str, intended: float) -> None:
        """Await the end of an order, which may have come before the answer to its POST."""
        self._open[order_id] = intended
        if (ending := self._strangers.pop(order_id, None)) is not None:
            self.ended(ending)

    def ended(self, ending: Ending) -> None:
        """Count the end of an order, once."""
        intended = self._open.pop(ending.order_id, None)
        if intended is not None:
            self.after.setdefault(ending.outcome, Latencies()).record(ending.at - intended)
            self.last_at = max(self.last_at, ending.at)
            return
        self._strangers[ending.order_id] = ending
        if len(self._strangers) > STRANGERS:
            self._strangers.popitem(last=False)
