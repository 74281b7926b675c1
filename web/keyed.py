"""A wish with an idempotency key, and what was made of it, as far as `web.once` has to know."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from yarl import URL

from models.idempotency import Key
from models.messages import Message
from tables.queries import Tenure


class First(NamedTuple):
    """Be what was made of the first request with a key: its id, what was wished, when, and the answer."""

    id: str
    fingerprint: str | None
    at: datetime
    answer: Mapping[str, Any]


class Wish(Protocol):
    """Be a wish whose owner can make a message of it, and find again what was made of it.

    `id_name` is what its id is called in the answer.
    """

    id_name: str

    @property
    def key(self) -> Key:
        """Return the key that it came with."""

    @property
    def body(self) -> bytes:
        """Return it as JSON, in the one way in which it is written."""

    @property
    def fingerprint(self) -> str:
        """Return what tells it from other wishes."""

    def owner(self) -> URL | None:
        """Return the worker that has the key; None where it is this one.

        Raises:
            Moving: nobody has it at the moment.
        """

    async def hold(self) -> Tenure:
        """Return under which assignment this worker speaks for the key.

        Raises:
            Moving: under none, or not yet.
        """

    def fits(self, name: str) -> bool:
        """Tell whether what is made of it may have this id."""

    def find(self, name: str) -> First | None:
        """Return what the table has under this id.

        Raises:
            NotHere: it is another worker's.
        """

    async def appeared(self, name: str) -> First | None:
        """Return what the table has under this id, once it has it, or None when patience ends.

        Raises:
            NotHere: it is another worker's.
        """

    def location(self, first: First) -> str:
        """Return where to look for what was made of it."""

    def begin(self, name: str, at: datetime) -> First:
        """Return what is made of it under this id.

        Raises:
            Problem: nothing, at the moment.
        """

    def message(self, first: First) -> Message:
        """Return what is sent of it."""
