"""Who is told outside of the orders of these tests: a process of its own, which no test breaks."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from app.processes import Command
from app.receiver import SECRET
from tests.e2e.system import HOST, READY_S, System, free_port

SILENT = {"ORDERS_NOTIFICATIONS__CHANNEL": "none", "ORDERS_TRANSFER__URL": ""}
"""For a worker that tells nobody: there would be too much to tell."""

TRANSFERS, NOTIFICATIONS = "transfers", "notifications"


@contextmanager
def listening(system: System) -> Iterator[System]:
    """Have the system's workers tell a receiver of each order, until the end of the block."""
    url = f"http://{HOST}:{free_port()}"
    receiver = Command("simulator", "--port", url.rsplit(":", 1)[1], log=system.folder / "receiver.log")
    receiver.start()
    receiver.wait_for(f"{url}/{TRANSFERS}/count", READY_S)
    system.settings |= {"ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true"}
    system.settings |= _stage("NOTIFICATIONS", f"{url}/{NOTIFICATIONS}")
    system.settings |= _stage("TRANSFER", f"{url}/{TRANSFERS}")
    system.settings |= {
        "ORDERS_NOTIFICATIONS__CHANNEL": "webhook",
        "ORDERS_TRANSFER__SINCE": "2020-01-01T00:00:00Z",
    }
    yield system
    receiver.stop()


def _stage(name: str, url: str) -> dict[str, str]:
    settings = {"URL": url, "SECRET": SECRET, "BACKOFF_MS": "100", "BACKOFF_MAX_MS": "1000"}
    return {f"ORDERS_{name}__{key}": value for key, value in settings.items()}


async def heard(system: System, session: aiohttp.ClientSession) -> Counter[tuple[str, str, int]]:
    """Return what the receiver has heard: of which order, by what kind of message, the how-many-th."""
    url = system.settings["ORDERS_TRANSFER__URL"].rsplit("/", 1)[0]
    found: Counter[tuple[str, str, int]] = Counter()
    for kind in (TRANSFERS, NOTIFICATIONS):
        async with session.get(f"{url}/{kind}") as answer:
            shown: dict[str, Any] = await answer.json()
        assert shown["refused"] == 0, "somebody else's signature"
        found.update((each["order_id"], each["type"], each["sequence"]) for each in shown[kind])
    return found


def is_listened_to(system: System) -> bool:
    """Tell whether anybody hears of the system's orders."""
    return bool(system.settings.get("ORDERS_TRANSFER__URL"))
