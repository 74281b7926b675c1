"""A broker that goes away and comes back, on the same folder and port."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from app import broker

PAUSED_S = 0.4
NOT_PAUSED_S = 0.6


class Node(ExitStack):
    """Be the broker, and start it from a thread of its own: it ends with the thread that has started it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._thread = self.enter_context(ThreadPoolExecutor(1))
        self.callback(self._end)
        self._folder = folder
        self._broker = self._thread.submit(broker.start, folder, 0, broker.QUICK).result()

    @property
    def bootstrap(self) -> str:
        """Return where it is, also while it is away."""
        return self._broker.bootstrap

    async def stop(self) -> None:
        """Stop it in order."""
        await asyncio.to_thread(self._broker.stop)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._broker.kill()

    async def start(self) -> None:
        """Start it again, where it was and with what it had; return once it answers."""
        starting = self._thread.submit(broker.start, self._folder, self._broker.port, broker.QUICK)
        self._broker = await asyncio.wrap_future(starting)

    @asynccontextmanager
    async def stuttering(self) -> AsyncIterator[None]:
        """Pause it in each second, until the end of the block."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._stutter())
            yield
            task.cancel()

    async def _stutter(self) -> None:
        while True:
            os.kill(self._broker.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(PAUSED_S)
            finally:
                os.kill(self._broker.pid, signal.SIGCONT)
            await asyncio.sleep(NOT_PAUSED_S)

    def _end(self) -> None:
        if not self._broker.has_ended:
            self._broker.stop()
