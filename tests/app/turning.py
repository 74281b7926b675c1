"""Waiting without a clock: the loop is let turn."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 20


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110  # what holds is a list's length, and no event
            await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Let the loop turn often enough for anything that is due to be done."""
    for _ in range(count):
        await asyncio.sleep(0)
