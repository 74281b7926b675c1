"""What is looked at to judge a run: Kafka's own records, the worker's stock, the provider's ledger."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import orjson

from app.errors import Failure
from app.topics import changelog_of
from bench.audit import Evidence
from bench.system import ENDS, GROUP, PLACED, System
from models.events import OrderCompleted

ANSWER_S = 60.0
"""The ledger of a hundred thousand charges takes seconds to write out."""

MARK = b"\xff"
"""What keys in the orders' changelog begin with that are no order's."""


def gather(system: System, *, acknowledged: int | None = None) -> Evidence:
    """Return the evidence about a run whose orders are all settled.

    Raises:
        Failure: something can't be read.
    """
    return Evidence(
        placed=_keys(system, PLACED),
        taken_in=_keys(system, ENDS),
        completed=_completed(system),
        stock=stock(system),
        charges=charges(system),
        acknowledged=acknowledged,
    )


def gather_unsettled(system: System, shelves: list[Any]) -> Evidence:
    """Return the evidence about a run that was ended in the middle; the worker has been stopped.

    What is committed must be in the orders' changelog; the rest is still in its topic.

    Raises:
        Failure: something can't be read.
    """
    committed = system.kafka.committed(GROUP, PLACED)
    behind = {
        (record.key() or b"").decode()
        for record in system.kafka.read(PLACED)
        if (record.offset() or 0) < committed[record.topic() or "", record.partition() or 0]
    }
    return Evidence(
        placed=behind,
        taken_in=_keys(system, (changelog_of("orders"),)),
        completed=_completed(system),
        stock=shelves,
        charges=charges(system),
        all_settled=False,
    )


def stock(system: System) -> list[Any]:
    """Return all items of GET /inventory."""
    return list(_pages(system))


def charges(system: System) -> list[Any]:
    """Return every entry of the provider's ledger."""
    return list(fetch(f"{system.provider_url}/charges")["entries"])


def fetch(asked: str | Request, timeout_s: float = ANSWER_S) -> Any:
    """Return the JSON at this address, or that answers this request; None where there is nothing (404).

    Raises:
        Failure: there is no answer in time, or another one.
    """
    url = asked if isinstance(asked, str) else asked.full_url
    try:
        with urlopen(asked, timeout=timeout_s) as answer:  # noqa: S310  # our own loopback address
            return orjson.loads(answer.read())
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return None
        raise Failure(f"{url}: {error}") from error
    except (URLError, TimeoutError, ConnectionError) as error:
        raise Failure(f"{url}: {error}") from error


def _pages(system: System) -> Iterator[Any]:
    cursor: str | None = ""
    while cursor is not None:
        page = fetch(
            f"{system.stock_url}/inventory?limit=1000" + (f"&cursor={quote(cursor)}" if cursor else "")
        )
        yield from page["items"]
        cursor = page["cursor"]


def _keys(system: System, names: tuple[str, ...]) -> set[str]:
    keys = (record.key() or b"" for record in system.kafka.read(names))
    return {key.decode() for key in keys if not key.startswith(MARK)}


def _completed(system: System) -> dict[str, dict[str, int]]:
    found = {}
    for record in system.kafka.read((OrderCompleted.type,)):
        event = orjson.loads(record.value() or b"")
        found[event["order_id"]] = {line["sku"]: line["quantity"] for line in event["lines"]}
    return found
