"""How Python is set; what these tests change they put back."""

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest
import uvloop

from app import runtime


@pytest.fixture
def _as_before() -> Iterator[None]:
    policy, thresholds, switch_s = (
        asyncio.get_event_loop_policy(),
        gc.get_threshold(),
        sys.getswitchinterval(),
    )
    yield
    asyncio.set_event_loop_policy(policy)
    sys.setswitchinterval(switch_s)
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_as_before")
def test_every_loop_is_uvloops() -> None:
    runtime.choose_loop()
    loop = asyncio.new_event_loop()
    loop.close()
    assert isinstance(loop, uvloop.Loop)


@pytest.mark.usefixtures("_as_before")
def test_what_is_loaded_is_never_looked_at_and_threads_take_turns_quickly() -> None:
    gc.disable()  # as it is while a worker imports
    runtime.settle()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == runtime.GC_THRESHOLDS
    assert sys.getswitchinterval() == pytest.approx(runtime.SWITCH_S)
