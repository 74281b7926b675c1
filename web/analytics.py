"""`/analytics/summary`: how orders ended in the last minutes, gathered from every worker."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from msgspec import Struct, json
from yarl import URL

from models.analytics import Minute, merge, percentile
from models.order import OrderStatus
from tables import queries
from web.answers import json_answer
from web.forwarding import ask_all, is_forwarded, moving
from web.requests import SummaryQuery, read_query
from web.routes import get

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Share(Struct, frozen=True):
    """Be what one worker knows: its minutes, and the units of each SKU in each of them."""

    minutes: list[tuple[datetime, Minute]]
    units: list[tuple[datetime, str, int]]


_encode = json.Encoder().encode
_decode = json.Decoder(Share).decode


@get("/analytics/summary", stage="analytics")
async def show_summary(request: web.Request) -> web.StreamResponse:
    """Answer with the last minutes, each and together; `?minutes=` says how many, this one among them."""
    query = read_query(request, SummaryQuery)
    if not queries.is_ready():
        raise moving(queries.Moving("partitions are being assigned or recovered"))
    until = datetime.now(UTC)
    since = query.since or (until - timedelta(minutes=query.minutes - 1)).replace(second=0, microsecond=0)
    own = Share([*queries.find_minutes(since)], [*queries.find_sold(since)])
    if is_forwarded(request):
        return web.Response(body=_encode(own), content_type="application/json")
    path = URL("/analytics/summary").with_query(since=since.isoformat().replace("+00:00", "Z"))
    others = [_decode(body) for body in await ask_all(queries.analytics_workers(), str(path))]
    return json_answer({"since": since, "until": until, **_summary([own, *others])})


def _summary(shares: Iterable[Share]) -> Mapping[str, Any]:
    minutes: defaultdict[datetime, list[Minute]] = defaultdict(list)
    units: defaultdict[datetime, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for share in shares:
        for at, minute in share.minutes:
            minutes[at].append(minute)
        for at, sku, sold in share.units:
            units[at][sku] += sold
    total: defaultdict[str, int] = defaultdict(int)
    for by_sku in units.values():
        for sku, sold in by_sku.items():
            total[sku] += sold
    whole = merge(minute for parts in minutes.values() for minute in parts)
    return {
        "total": _shown(whole, total),
        "minutes": [
            {"minute": at, **_shown(merge(parts), units[at])} for at, parts in sorted(minutes.items())
        ],
    }


def _shown(minute: Minute, units: Mapping[str, int]) -> dict[str, Any]:
    times = {"reserve": minute.reserve, "pay": minute.pay, "whole": minute.whole}
    ends = minute.ends
    return {
        "orders": sum(many for status, many in ends.items() if status != OrderStatus.REFUNDED),
        "completed": ends.get(OrderStatus.COMPLETED, 0),
        "cancelled": ends.get(OrderStatus.CANCELLED, 0),
        "refunded": ends.get(OrderStatus.REFUNDED, 0),
        "cancelled_by_reason": minute.reasons,
        "revenue": minute.revenue,
        "units": dict(sorted(units.items())),
        "times_ms": {
            step: {name: percentile(known, share) for name, share in SHARES.items()}
            for step, known in times.items()
        },
    }
