"""States made anew from the topics of a real Kafka are those that the workers have."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.shop import Shop, item, new_sku, order
from tests.e2e.system import System
from tests.e2e.test_cancel import paying

DEADLINE_S = 60
LOOKS = 10


async def rebuild(system: System, folder: Path, *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Run one rebuild, and return its exit code, what it found and its output."""
    file = folder / "rebuild.json"
    file.unlink(missing_ok=True)  # a small file
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "rebuild", "--json", str(file), "--scratch", str(folder), *arguments),
        env={"ORDERS_BROKER": system.bootstrap, "COLUMNS": "200", **system.settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    found = json.loads(file.read_bytes()) if file.exists() else {}  # likewise
    assert [path.name for path in folder.glob("order-saga-*")] == [], out.decode()  # noqa: ASYNC240
    return process.returncode, found, out.decode()


async def quiet(system: System, folder: Path) -> tuple[int | None, dict[str, Any], str]:
    """Rebuild until nothing is in flight: offsets are committed some time after the work."""
    for _ in range(LOOKS):
        code, found, out = await rebuild(system, folder)
        if code or not found["left_out"]:
            break
    return code, found, out


async def all_kinds(shop: Shop) -> list[str]:
    """Have an order end in every way there is, and return their ids."""
    plenty, scarce = new_sku("plenty"), new_sku("scarce")
    await shop.restock(plenty, 50)
    await shop.restock(scarce, 1)
    bodies = [
        *(order(item(plenty, quantity=2), token=token) for token in ("tok_ok", "tok_declined", "tok_flaky")),
        *(order(item(plenty), item(scarce)) for _ in range(4)),
        order(item(new_sku("unknown"))),
    ]
    bought = await asyncio.gather(*(shop.buy(body) for body in bodies))
    sold = [one["order_id"] for one in bought if one["status"] == "COMPLETED"]
    assert (await shop.refund(sold[0]))[0] == 202
    unpaid = await asyncio.gather(*(paying(shop, plenty) for _ in range(2)))
    early = [await shop.place(order(item(plenty))) for _ in range(3)]
    await asyncio.gather(*map(shop.cancel, (*unpaid, *early)))
    ids = [*(one["order_id"] for one in bought), *unpaid, *early]
    ended = await asyncio.gather(*map(shop.settled, ids))
    assert {one["status"] for one in ended} == {"COMPLETED", "CANCELLED", "REFUNDED"}
    return ids


async def test_every_kind_of_order_is_made_anew_as_it_is(shop: Shop, system: System, tmp_path: Path) -> None:
    ids = await all_kinds(shop)
    code, found, out = await quiet(system, tmp_path)
    assert (code, found["differences"], found["left_out"]) == (0, [], {}), out
    assert sum(found["orders"].values()) >= len(ids)
    assert "the live tables are the same" in out
