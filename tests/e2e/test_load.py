import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.shop import Shop
from tests.e2e.system import System

DEADLINE_S = 240


async def load(
    system: System, url: str, *arguments: str, file: Path
) -> tuple[int | None, dict[str, Any], str]:
    """Run a load, and return its exit code, its figures and its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "load", "--url", url, "--json", str(file), *arguments),
        env=system.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert file.exists(), out.decode()  # noqa: ASYNC240  # a small file
    return process.returncode, json.loads(file.read_bytes()), out.decode()  # noqa: ASYNC240


async def test_a_load_is_accepted_and_settled(
    system: System, worker: str, shop: Shop, tmp_path: Path
) -> None:
    skus = [f"load-sku-{number}" for number in range(1, 6)]
    before = sum([(await shop.get(f"/inventory/{sku}"))[1].get("sold", 0) for sku in skus])
    arguments = ("--rate", "50", "--seconds", "4", "--skus", "5", "--hot-share", "0.5", "--lines", "2")
    code, found, out = await load(system, worker, *arguments, file=tmp_path / "load.json")
    assert code == 0, out
    assert (found["offered"], found["accepted"], found["unsettled"]) == (200, 200, 0)
    assert found["settlements"].keys() == {"COMPLETED"}
    assert found["settlements"]["COMPLETED"]["count"] == 200
    assert found["settlements"]["COMPLETED"]["p50"] > found["answers"]["202"]["p50"] > 0
    assert "COMPLETED" in out
    stocked = [await shop.counters(sku) for sku in skus]
    assert sum(sold for _, _, sold in stocked) - before == 400


async def test_cancelled_orders_are_told_apart_by_reason(system: System, worker: str, tmp_path: Path) -> None:
    declined = ("--rate", "20", "--seconds", "1", "--token", "tok_declined")
    code, found, out = await load(system, worker, *declined, file=tmp_path / "load.json")
    assert code == 0, out
    assert {name: each["count"] for name, each in found["settlements"].items()} == {
        "CANCELLED PAYMENT_DECLINED": 20
    }


async def test_orders_that_do_not_settle_in_time_are_reported(
    system: System, worker: str, tmp_path: Path
) -> None:
    slow = ("--rate", "10", "--seconds", "0.5", "--token", "tok_slow", "--settle-timeout", "0.1")
    code, found, out = await load(system, worker, *slow, file=tmp_path / "load.json")
    assert (code, found["unsettled"]) == (1, 5)
    assert "5 accepted orders are not settled" in out
