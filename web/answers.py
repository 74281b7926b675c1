"""JSON answers, with times as RFC 3339 in UTC."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web


def json_answer(
    document: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the document as JSON."""
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
