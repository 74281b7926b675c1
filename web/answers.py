"""JSON answers, with times as RFC 3339 in UTC."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from app.written import json_bytes

REPLAYED = "Idempotent-Replayed"
"""The header of an answer that was given before, to the first request with the same key."""


def json_answer(
    document: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the document as JSON."""
    return web.Response(status=status, body=_json(document), content_type="application/json", headers=headers)


def accepted(
    request: web.Request, document: Mapping[str, Any], location: str, *, replayed: bool = False
) -> web.StreamResponse:
    """Return the 202 of what Kafka has, with the place to look at, which is of our making."""
    headers = {"Location": location, REPLAYED: "true"} if replayed else {"Location": location}
    return json_bytes(request, _json(document), HTTPStatus.ACCEPTED, headers)


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)
