"""`/health`: is the process alive, and can it do its work."""

from http import HTTPStatus

from aiohttp import web
from faust.web import View

from app.main import app, delivery
from app.settings import current
from tables import queries
from web.answers import json_answer
from web.problems import later


@app.page("/health/live")
class Live(View):  # type: ignore[misc]  # Faust is untyped here
    """Tell that the loop turns."""

    async def get(self, _request: web.Request) -> web.Response:
        """Answer, which is all there is to prove."""
        return json_answer({"status": "live"}, HTTPStatus.OK)


@app.page("/health/ready")
class Ready(View):  # type: ignore[misc]  # Faust is untyped here
    """Tell whether the worker can do its work."""

    async def get(self, _request: web.Request) -> web.Response:
        """Answer 200 when partitions are assigned, recovered, and the broker can be reached; else 503."""
        retry_after_s = current().web.retry_after_s
        if not queries.is_ready():
            raise later("partitions are being assigned or recovered", retry_after_s)
        if not await delivery.reaches_broker():
            raise later(f"Kafka does not answer at {current().broker}", retry_after_s)
        return json_answer({"status": "ready"}, HTTPStatus.OK)
