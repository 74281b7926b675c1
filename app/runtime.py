"""How Python is set for one busy thread: whose loop it turns, when others take turns, what is collected."""

import asyncio
import gc
import sys

import uvloop

GC_THRESHOLDS = (100_000, 20, 100)
"""Objects made and not freed before the youngest are looked through; how often that goes on to older ones."""

SWITCH_S = 0.001
"""How long a thread with news from Kafka may be kept waiting by the loop; Python's own 5 ms add up."""


def choose_loop() -> None:
    """Have every loop of this process be uvloop's, before the first is made.

    A policy, not a loop: the thread that Faust reads Kafka in makes a loop of its own.
    """
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def settle() -> None:
    """Have threads take turns quickly, and the collector look seldom, and never at what is loaded by now.

    What an order leaves behind is freed by its reference count. The collector found next to nothing, and
    looked through everything that was under way to find it, at a tenth of all CPU and more.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
