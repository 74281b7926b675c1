"""The worker's place in its group: where it is lost for good, the process ends rather than stay idle."""

import asyncio
from typing import Any

import pytest

from app.delivery import transport


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the reasons for which the process would have ended."""
    reasons: list[str] = []
    monkeypatch.setattr(transport, "die", reasons.append)
    return reasons


async def membership(end: Exception | None) -> None:
    if end is not None:
        raise end


async def watched(end: Exception | None) -> None:
    task = asyncio.ensure_future(membership(end))
    task.add_done_callback(transport._end_with)  # noqa: SLF001  # as the consumer's thread watches it
    await asyncio.wait({task})
    await asyncio.sleep(0)


async def test_a_membership_that_fails_ends_the_process_with_its_reason(deaths: list[str]) -> None:
    await watched(AssertionError("another address than before"))
    (reason,) = deaths
    assert "not in its group any more" in reason
    assert "another address than before" in reason


async def test_a_membership_that_is_given_up_ends_nothing(deaths: list[str]) -> None:
    await watched(None)
    task: asyncio.Task[Any] = asyncio.ensure_future(asyncio.Event().wait())
    task.add_done_callback(transport._end_with)  # noqa: SLF001  # as above
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert deaths == []


async def test_a_group_that_refuses_the_worker_ends_the_process_with_its_reason(deaths: list[str]) -> None:
    await transport._refused(PermissionError("not authorized for group orders"))  # noqa: SLF001  # as aiokafka calls it
    (reason,) = deaths
    assert "not authorized for group orders" in reason
