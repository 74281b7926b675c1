"""Processes of our own, started and stopped together: for the demo and for the tests."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from app.errors import Failure

STOP_S = 30
"""How long a process may take to stop when asked; a worker hands over its work in less."""

_ASK_EVERY_S = 0.1
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies (Linux only); to be called in the child."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Command:
    """Be one `python -m app ...` process, its output in a file, dead at the latest when its parent is."""

    def __init__(self, *arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.arguments = arguments
        self.log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "app", *self.arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl alone, before any thread is
            )

    @property
    def pid(self) -> int:
        """Return the id of the process, which must have been started."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return how the process ended, None while it runs or was never started."""
        return None if self._process is None else self._process.poll()

    def wait_for(self, url: str, timeout_s: float) -> None:
        """Wait until the URL answers 200.

        Raises:
            Failure: the process ended, or the time is over; with the last lines that it wrote.
        """
        deadline = time.monotonic() + timeout_s
        while not _answers(url):
            if self.exit_code is not None:
                raise Failure(f"{self} ended with code {self.exit_code}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self} was not ready within {timeout_s:.0f} s:\n{self.last_lines()}")
            time.sleep(_ASK_EVERY_S)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        if self._process is not None and self.exit_code is None:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Ask the process to stop, and don't wait for it."""
        self.signal(signal.SIGTERM)

    def stop(self) -> int | None:
        """Ask the process to stop, wait for it, and return its exit code."""
        self.ask_to_stop()
        return self.wait()

    def kill(self) -> None:
        """End the process without a chance to tidy up."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int | None:
        """Wait for the end of the process; one that takes too long is killed."""
        if self._process is None:
            return None
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait_until_done(self, timeout_s: float) -> int | None:
        """Wait for a process that ends by itself; None where the time was over first."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def last_lines(self, count: int = 15) -> str:
        """Return the end of what the process wrote."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-count:])

    def __str__(self) -> str:
        return f"`python -m app {' '.join(self.arguments)}` (log: {self.log})"


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):  # noqa: S310  # our own loopback address
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False
