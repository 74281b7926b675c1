"""One worker process: checks that it can keep its promises, then runs the Faust app."""

import asyncio
import gc
import importlib
import os
import pkgutil
import socket
import sys

import faust
import uvloop
from faust import streams

from app import logs, topics
from app.errors import WorkerRefused
from app.settings import Settings, current

SUPPORTED_FAUST = "0.15.3"
PACKAGES = ("tables", "agents", "web")
"""Where agents, tables and routes are declared: every module of these is part of the worker."""

GC_THRESHOLDS = (100_000, 20, 100)
"""Objects made and not freed before the youngest are looked through; how often that goes on to older ones."""


SWITCH_S = 0.001
"""How long a thread with news from Kafka may be kept waiting by the loop; Python's own 5 ms add up."""


def run() -> None:
    """Run the worker until it is told to stop; exits with the worker's code.

    Raises:
        Failure: Kafka does not answer, or something is not as the worker needs it.
    """
    settings = current()
    _require_faust()
    _require_port(settings)
    topics.require(settings)
    logs.set_up(settings)
    settings.worker_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A policy, not a loop: the thread that Faust reads Kafka in makes a loop of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from app.main import app  # noqa: PLC0415  # the app is made of the settings checked above

    for package in PACKAGES:
        _import_all(package)
    spare_collector()
    sys.setswitchinterval(SWITCH_S)
    worker = faust.Worker(app, loglevel=settings.log_level.upper(), quiet=True, override_logging=False)
    sys.exit(worker.execute_from_commandline())


def spare_collector() -> None:
    """Have the garbage collector look seldom, and never at what is loaded.

    What an order leaves behind is freed by its reference count. The collector found next to nothing, and
    looked through everything that was under way to find it, at a tenth of all CPU and more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


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


def _require_port(settings: Settings) -> None:
    """Find out early that the port is taken: Faust would say so in thirty lines."""
    try:
        socket.create_server((settings.web.bind, settings.web.port)).close()
    except OSError as error:
        raise WorkerRefused(
            f"port {settings.web.port} of {settings.web.bind}: {os.strerror(error.errno or 0)};"
            " choose another with --web-port"
        ) from None
