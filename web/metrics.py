"""`/metrics`: what this worker tells Prometheus, and how long its answers take."""

import time
from functools import cache

from aiohttp import web
from prometheus_client import Histogram

from app import metrics
from app.delivery import turn
from web.problems import Handler
from web.routes import get

UNKNOWN = "unknown"
"""The route of a request that has none: what was asked for is no label."""


@get("/metrics")
async def show_metrics(_request: web.Request) -> web.StreamResponse:
    """Answer in Prometheus' text format."""
    return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Measure how long the answer takes, and have stages give way meanwhile."""
    turn.expect()
    began = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = UNKNOWN if resource is None else resource.canonical
    _seconds(request.method, route, response.status).observe(time.perf_counter() - began)
    return response


@cache
def _seconds(method: str, route: str, status: int) -> Histogram:
    known = method if route != UNKNOWN else UNKNOWN
    seconds: Histogram = metrics.HTTP_SECONDS.labels(known, route, status)
    return seconds
