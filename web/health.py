"""`/health`: is the process alive, and can it do its work."""

from http import HTTPStatus

from aiohttp import web

from app import providers
from app.main import delivery
from app.settings import current
from tables import queries
from web.answers import json_answer
from web.problems import later
from web.routes import get


@get("/health/live")
async def live(_request: web.Request) -> web.StreamResponse:
    """Answer, which is all there is to prove: the loop turns."""
    return json_answer({"status": "live"}, HTTPStatus.OK)


@get("/health/ready")
async def ready(_request: web.Request) -> web.StreamResponse:
    """Answer 200 when partitions are assigned, recovered, and the broker can be reached; else 503.

    A provider that is away makes no worker unready: orders are accepted, and wait.
    """
    retry_after_s = current().web.retry_after_s
    if not queries.is_ready():
        raise later("partitions are being assigned or recovered", retry_after_s)
    if not await delivery.reaches_broker():
        raise later(f"Kafka does not answer at {current().broker}", retry_after_s)
    return json_answer({"status": "ready", "providers": providers.find_states()}, HTTPStatus.OK)
