"""What holds for every request, whatever its route."""

from faust.web.base import BlueprintManager

from app import tracing
from app.main import app
from web.metrics import measured
from web.problems import problems
from web.tracing import traced

STOP_S = 2.0
"""How long a stopping worker lets requests go on; aiohttp's minute is longer than any supervisor waits."""

app.web.blueprints = BlueprintManager()  # none of Faust's own pages: they show what is in the tables
app.web._runner._shutdown_timeout = STOP_S  # noqa: SLF001  # Faust has no setting for it
app.web.web_app.middlewares.extend(
    (measured, problems) if tracing.current() is None else (measured, traced, problems)
)
