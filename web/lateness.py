"""How late orders are: by this worker's own stages, and as Kafka shows it by those that others run."""

from app.elsewhere import Elsewhere
from app.main import app
from app.offsets import Offsets
from app.settings import current
from tables import queries

_elsewhere = Elsewhere(current(), Offsets(current()))


def behind_s() -> float:
    """Return how late the stages are that orders wait for, in seconds."""
    return max(queries.behind_s(), _elsewhere.behind_s())


@app.task  # type: ignore[untyped-decorator]  # Faust is untyped here
async def watch_others() -> None:
    """Watch the stages of other workers from the start of this one on."""
    await _elsewhere.watch()
