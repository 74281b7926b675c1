"""`/analytics/summary`: how orders ended in the last minutes, gathered from every worker."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web
from yarl import URL

from app.delivery.turn import Turn
from app.settings import current
from models.analytics import Minute, percentile
from models.order import OrderStatus
from tables import queries
from web.answers import json_answer
from web.forwarding import ask_all, is_forwarded, moving
from web.requests import ShareQuery, SummaryQuery, read_query
from web.routes import get
from web.shares import Share, Window, own_share

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

WAIT_S = 30.0
"""How long another worker may take over its share: it gives way meanwhile, and questions wait in line."""

_settings = current()


@get("/analytics/summary", stage="analytics")
async def show_summary(request: web.Request) -> web.StreamResponse:
    """Answer with the last minutes, each and together; `?minutes=` says how many, this one among them."""
    if not queries.is_ready():
        raise moving(queries.Moving("partitions are being assigned or recovered"))
    turn = Turn()
    if is_forwarded(request):
        share = await _own(_asked(read_query(request, ShareQuery)), turn)
        return web.Response(body=await share.lines(turn), content_type="application/x-ndjson")
    until = datetime.now(UTC)
    window = _window(until, read_query(request, SummaryQuery).minutes)
    share = await gather(window, turn)
    return json_answer({"since": window.since, "until": until, **await _shown(share, turn)})


async def gather(window: Window, turn: Turn) -> Share:
    """Return what all workers know.

    Raises:
        Problem: 503 where one does not answer, or a partition is nobody's or was two workers', as it moves.
    """
    path = URL("/analytics/summary").with_query(
        minutes=window.minutes, since=window.since.isoformat().replace("+00:00", "Z")
    )
    own = _own(window, turn)
    share, told = await asyncio.gather(own, ask_all(queries.analytics_workers(), str(path), WAIT_S))
    for each in told:
        await share.take_in(each, turn)
    if sorted(share.partitions) != [*range(_settings.partitions)]:
        raise moving(queries.Moving("partitions have moved between workers"))
    return share


def _window(until: datetime, minutes: int) -> Window:
    return Window((until - timedelta(minutes=minutes - 1)).replace(second=0, microsecond=0), minutes)


def _asked(query: ShareQuery) -> Window:
    """Return the minutes that another worker asks for: none that are forgotten, whoever it is that asks."""
    oldest = _window(datetime.now(UTC), _settings.analytics.retention_minutes + 1)
    return Window(max(query.since, oldest.since), query.minutes)


async def _own(window: Window, turn: Turn) -> Share:
    try:
        return await own_share(window, turn)
    except queries.NotHere as error:
        raise moving(error) from error


async def _shown(share: Share, turn: Turn) -> Mapping[str, Any]:
    listed = []
    for at, minute in sorted(share.minutes.items()):
        shown = {"minute": at, **_told(minute, share.units_in(at))}
        listed.append(orjson.Fragment(orjson.dumps(shown, option=orjson.OPT_UTC_Z)))
        await turn.look()
    return {"total": _told(await share.whole(turn), share.units), "minutes": listed}


def _told(minute: Minute, units: Mapping[str, int] | None) -> dict[str, Any]:
    times = {"reserve": minute.reserve, "pay": minute.pay, "whole": minute.whole}
    ends = minute.ends
    return {
        "orders": sum(many for status, many in ends.items() if status != OrderStatus.REFUNDED),
        "completed": ends.get(OrderStatus.COMPLETED, 0),
        "cancelled": ends.get(OrderStatus.CANCELLED, 0),
        "refunded": ends.get(OrderStatus.REFUNDED, 0),
        "cancelled_by_reason": minute.reasons,
        "revenue": minute.revenue,
        "units": None if units is None else dict(sorted(units.items())),
        "times_ms": {
            step: {name: percentile(known, share) for name, share in SHARES.items()}
            for step, known in times.items()
        },
    }
