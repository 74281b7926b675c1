"""What comes after an order's end: a worker for each of these stages, and whoever they tell."""

import time
from collections.abc import Mapping
from http import HTTPMethod
from types import TracebackType
from typing import Any, Self
from urllib.request import Request

import orjson

from app.errors import Failure
from app.processes import Command
from app.receiver import SECRET
from app.rewind.run import INPUTS
from app.stages import group_of
from bench.evidence import fetch
from bench.system import ENDS, START_S, System, new_url, worker_url

TOLD = {"notifications": "notifications", "transfer": "transfers"}
"""The stages that tell somebody, and what the receiver calls what they tell."""

Faults = Mapping[str, bool | int]
"""What a receiver is told to do, as it takes it."""

ANSWER_S = 10.0
LOOK_EVERY_S = 0.25
MINUTES = 120
"""How many minutes of statistics are asked for: more than a trial takes."""


class Outside:
    """Be what a system has beside the saga; as a context manager, gone in the end.

    Nothing runs before `start_all`. Each stage has a worker of its own, so that one can be stopped alone.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._url = new_url()
        self._receiver = system.simulator("receiver", self._url)
        self._workers = {stage: self._new_worker(stage) for stage in INPUTS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for command in (*self._workers.values(), self._receiver):
            command.kill()

    def start_all(self) -> None:
        """Start the receiver and the workers; none of them may know anything of a trial before.

        Raises:
            Failure: a part does not start.
        """
        for stage, topics in INPUTS.items():
            self._system.kafka.await_no_offsets(group_of((stage,)), topics)
        self._receiver.start()
        self._receiver.wait_for(f"{self._url}/transfers/count", START_S)
        for stage in INPUTS:
            self.start(stage)

    def start(self, stage: str) -> None:
        """Start the worker of a stage, where it was.

        Raises:
            Failure: it was not ready in time.
        """
        self._workers[stage].start()
        self._workers[stage].wait_for(f"{worker_url(stage)}/health/ready", START_S)

    def kill(self, stage: str) -> None:
        """End the worker of a stage without a chance to tidy up."""
        self._workers[stage].kill()

    def fault(self, stage: str, faults: Faults) -> None:
        """Have the receiver of a stage's messages fail, or be slow; or neither, where nothing is named.

        Raises:
            Failure: it does not answer.
        """
        url = f"{self._url}/faults/{TOLD[stage]}"
        request = Request(url, orjson.dumps(faults), method=HTTPMethod.PUT)  # noqa: S310  # our loopback
        if fetch(request, ANSWER_S) is None:
            raise Failure(f"{url}: there is no such fault to order")

    def told(self, stage: str) -> list[Any]:
        """Return every message that the receiver has of a stage, by its own record.

        Raises:
            Failure: it has refused some for their signatures.
        """
        shown = fetch(f"{self._url}/{TOLD[stage]}")
        if shown["refused"]:
            raise Failure(f"{shown['refused']} messages of {stage} had no valid signature")
        return list(shown[TOLD[stage]])

    def totals(self) -> dict[str, int]:
        """Return what the statistics say of all ends together."""
        return dict(fetch(f"{worker_url('analytics')}/analytics/summary?minutes={MINUTES}")["total"])

    def waiting(self) -> int:
        """Return how many messages are yet to be delivered, and how much news is yet to be counted."""
        counted = self._system.kafka.committed(group_of(("analytics",)), INPUTS["analytics"])
        uncounted = self._system.count(INPUTS["analytics"]) - sum(counted.values())
        due = {"notifications": self._system.count(ENDS), "transfer": self._system.count(INPUTS["transfer"])}
        return uncounted + sum(many - self._count(stage) for stage, many in due.items())

    def deliver(self, timeout_s: float) -> float:
        """Wait until nothing is waiting any more, or the time is over; return how long that took."""
        start = time.monotonic()
        while self.waiting() > 0 and time.monotonic() < start + timeout_s:
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - start

    def _count(self, stage: str) -> int:
        return int(fetch(f"{self._url}/{TOLD[stage]}/count")["count"])

    def _new_worker(self, stage: str) -> Command:
        settings = {
            "ORDERS_NOTIFICATIONS__CHANNEL": "webhook",
            "ORDERS_NOTIFICATIONS__URL": f"{self._url}/{TOLD['notifications']}",
            "ORDERS_NOTIFICATIONS__SECRET": SECRET,
            "ORDERS_TRANSFER__URL": f"{self._url}/{TOLD['transfer']}",
            "ORDERS_TRANSFER__SECRET": SECRET,
            "ORDERS_TRANSFER__SINCE": "2020-01-01T00:00:00Z",
            "ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true",
        }
        return self._system.new_worker(stage, (stage,), worker_url(stage), settings)
