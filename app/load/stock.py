"""Stock for a load: taken in before it begins, so that orders do not fail for the lack of it."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import aiohttp

from app.errors import LoadRefused

AT_A_TIME = 16
PATIENCE_S = 60.0
ASK_EVERY_S = 0.1


async def restock(url: str, skus: Iterable[str], quantity: int) -> None:
    """Take in `quantity` of each SKU, and return when all of it can be seen.

    Raises:
        LoadRefused: nobody listens, the worker refuses, or the stock does not appear.
    """
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(sku: str) -> None:
        async with gate:
            await _restock(session, f"{url}/inventory/{sku}", quantity)

    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*map(one, skus))
    except TimeoutError:
        raise LoadRefused(f"the stock did not appear at {url} within {PATIENCE_S:.0f} s") from None
    except aiohttp.ClientError as error:
        raise LoadRefused(f"{url} can't be restocked: {error}") from error


async def _restock(session: aiohttp.ClientSession, url: str, quantity: int) -> None:
    wanted = await _restocked(session, url) + quantity
    async with session.post(f"{url}/restock", json={"quantity": quantity}) as answer:
        if answer.status != HTTPStatus.ACCEPTED:
            raise LoadRefused(f"{url}/restock was answered {answer.status}: {await answer.text()}")
    while await _restocked(session, url) < wanted:  # noqa: ASYNC110  # another process is asked
        await asyncio.sleep(ASK_EVERY_S)


async def _restocked(session: aiohttp.ClientSession, url: str) -> int:
    """Return how much was taken in so far, as soon as the worker that knows can tell."""
    while True:
        async with session.get(url) as answer:
            if answer.status == HTTPStatus.OK:
                return int((await answer.json())["restocked"])
            if answer.status == HTTPStatus.NOT_FOUND:
                return 0
        await asyncio.sleep(ASK_EVERY_S)
