"""One worker process: checks that it can keep its promises, then runs the Faust app."""

import asyncio
import importlib
import os
import pkgutil
import socket
import sys
from collections.abc import Mapping
from typing import IO

import faust
from faust import streams

from app import folders, logs, outbound, runtime, topics, tracing
from app.errors import WorkerRefused
from app.settings import Settings, current
from app.stages import AGENTS

SUPPORTED_FAUST = "0.15.3"
PACKAGES = ("tables", "web")
"""Where tables and routes are declared: every module of these is part of the worker."""

PROMISES = {"PROCESSING_GUARANTEE": "at_least_once", "CONSUMER_AUTO_OFFSET_RESET": "earliest"}
"""What Faust reads from the environment by itself, and the one value that each may have."""


LAST_S = 0.05
"""How long the loop goes on once all is stopped, for connections that are closed to say so."""


class Worker(faust.Worker):  # type: ignore[misc]  # Faust is untyped here
    """Be Faust's worker, which ends when it has stopped; leans on mode 0.7.1's `_shutdown_loop`."""

    def _gather_all(self) -> None:
        """Cancel the tasks that are left at once: mode waits a second for those that wait for ever."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()

    async def _sentinel_task(self) -> None:
        """Be the loop's last task: mode has it last a second, in which nothing happens any more."""
        await asyncio.sleep(LAST_S)


def run() -> None:
    """Run the worker until it is told to stop; exits with the worker's code.

    Raises:
        Failure: Kafka does not answer, or something is not as the worker needs it.
    """
    settings = current()
    _require_faust()
    _require_promises(os.environ)
    _require_port(settings)
    outbound.require(settings)
    folder = _own_folder(settings)
    topics.require(settings)
    logs.set_up(settings)
    tracing.set_up(settings)
    runtime.choose_loop()
    from app.main import app  # noqa: PLC0415  # the app is made of the settings checked above

    for stage in settings.active_stages:
        for module in AGENTS[stage]:
            importlib.import_module(f"agents.{module}")
    for package in PACKAGES:
        _import_all(package)
    runtime.settle()
    worker = Worker(app, loglevel=settings.log_level.upper(), quiet=True, override_logging=False)
    with folder:
        sys.exit(worker.execute_from_commandline())


def _import_all(package: str) -> None:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def _require_faust() -> None:
    version = faust.__version__
    if version != SUPPORTED_FAUST:
        raise WorkerRefused(
            f"faust-streaming is {version}, and delivery is built on {SUPPORTED_FAUST}: `make setup`"
        )
    if getattr(streams, "_CStreamIterator", None) is None:
        raise WorkerRefused(
            "faust-streaming came without its compiled part: `make setup` installs a wheel with it"
        )


def _require_promises(environment: Mapping[str, str]) -> None:
    """Refuse what Faust would heed elsewhere: under it orders would be lost, or counted twice."""
    for variable, only in PROMISES.items():
        if (value := environment.get(variable, only)) != only:
            raise WorkerRefused(
                f"{variable}={value!r}: delivery is built on {only}, and keeps no promise under anything else"
                f" (docs/adr/0001); unset it"
            )


def _require_port(settings: Settings) -> None:
    """Find out early that the port is taken: Faust would say so in thirty lines."""
    try:
        socket.create_server((settings.web.bind, settings.web.port)).close()
    except OSError as error:
        raise WorkerRefused(
            f"port {settings.web.port} of {settings.web.bind}: {os.strerror(error.errno or 0)};"
            " choose another with --web-port"
        ) from None


def _own_folder(settings: Settings) -> IO[bytes]:
    """Have the worker's folder to itself: a second one of its name would end it, and its own start as well.

    Kafka gives the name's place in the group to whoever came last, before either has looked at the folder.
    """
    try:
        settings.worker_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folders.lock(settings.worker_dir)
    except OSError as error:
        raise WorkerRefused(
            f"the folder {settings.worker_dir} can't be used: {error.strerror};"
            " choose another with ORDERS_DATA_DIR"
        ) from None
    if folder is None:
        raise WorkerRefused(
            f"the folder {settings.worker_dir} is in use by another worker: stop that one, or give this one"
            " a name of its own with ORDERS_WORKER_ID"
        )
    return folder
