"""An engine's process: started with its output in a file, paused, measured and stopped."""

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import Failure
from app.processes import STOP_S, die_with_parent
from bench import accounting

READY = "ready"
ROOT = Path(__file__).parents[1]
LAST_LINES = 12

_LOOK_EVERY_S = 0.05


class EngineProcess:
    """Be one `python -m bench.engines...` process; as a context manager, gone in the end."""

    def __init__(self, python: Path, module: str, *arguments: str, log: Path) -> None:
        self.log = log
        self._module = module
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [python, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the runner, which ends its children in order
                preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl alone
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def cpu_s(self) -> float:
        """Return the CPU time that the process has used so far."""
        self.require()
        return accounting.cpu_s(self._process.pid)

    @property
    def peak_rss_mib(self) -> float:
        """Return the most memory that the process has held at a time."""
        self.require()
        return accounting.peak_rss_mib(self._process.pid)

    def require(self) -> None:
        """Make sure that the process runs.

        Raises:
            Failure: it has ended; with the last lines that it wrote.
        """
        if self._process.poll() is not None:
            raise Failure(f"{self._module} ended with code {self._process.returncode}:\n{self._tail()}")

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the process has written that it can work.

        Raises:
            Failure: it has ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not any(line.endswith(READY) for line in self._lines()):  # Faust puts control characters first
            self.require()
            if time.monotonic() > deadline:
                raise Failure(f"{self._module} was not ready within {timeout_s:.0f} s:\n{self._tail()}")
            time.sleep(_LOOK_EVERY_S)

    def pause(self) -> None:
        """Stop the process where it is, until `resume`."""
        self.require()
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask the process to end and return its exit code; one that takes too long is killed."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def details(self) -> dict[str, str]:
        """Return what the process has said about itself, in lines such as `confluent-kafka=2.12.2`."""
        pairs = (line.split("=", 1) for line in self._lines() if "=" in line and " " not in line)
        return {name: value for name, value in pairs}  # noqa: C416  # dict() does not see pairs in lists

    def _lines(self) -> list[str]:
        return self.log.read_text("utf-8", "replace").splitlines()

    def _tail(self) -> str:
        return "\n".join([f"the end of {self.log}:", *self._lines()[-LAST_LINES:]])
