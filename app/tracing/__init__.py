"""One trace an order, from the request through every stage to the calls outside; off unless it is set.

Nothing of OpenTelemetry is imported here, so where tracing is off it is not loaded at all: whoever has a part
in a trace asks `current()` once, when it is made, and does nothing more about it where there is none.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.errors import WorkerRefused
from app.settings import Settings

if TYPE_CHECKING:
    from app.tracing.traces import Traces

__all__ = ["current", "set_up"]

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

_current: "Traces | None" = None


def current() -> "Traces | None":
    """Return the traces of this process; None where they are off."""
    return _current


def set_up(settings: Settings) -> None:
    """Trace from now on, where the settings name whom to tell.

    Raises:
        WorkerRefused: they do, and what is needed for it is not installed.
    """
    global _current  # noqa: PLW0603  # a process has one, for good, from before the first is asked for
    if not settings.tracing.endpoint:
        return
    if not all(map(_is_there, NEEDED)):
        raise WorkerRefused(
            "tracing.endpoint is set, and OpenTelemetry is not installed:"
            " install the extra `tracing`, or leave the setting empty"
        )
    from app.tracing.exporting import tracer  # noqa: PLC0415  # it costs time and memory, for those who want it
    from app.tracing.traces import Traces  # noqa: PLC0415

    _current = Traces(tracer(settings))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
