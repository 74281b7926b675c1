"""What a stage has begun outside: the context in which its answer is to be handled, for a bounded number."""

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context

MOST = 10_000
"""Beyond this the oldest is forgotten: its answer then begins a trace of its own."""


class Kept:
    """Remember contexts by order, in memory alone: a restart forgets them."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[str, Context] = OrderedDict()

    def keep(self, order_id: str, within: "Context") -> None:
        """Remember the context."""
        self._contexts[order_id] = within
        self._contexts.move_to_end(order_id)
        if len(self._contexts) > MOST:
            self._contexts.popitem(last=False)

    def find(self, order_id: str) -> "Context | None":
        """Return the context, if it is remembered."""
        return self._contexts.get(order_id)
