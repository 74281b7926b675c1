"""What is wrong, as RFC 9457 has it: `application/problem+json`, for every answer that is no success."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):  # noqa: N818  # the RFC's word
    """End a request with a problem document."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra

    def response(self) -> web.Response:
        """Return the document."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        response = web.Response(
            status=self.status,
            body=orjson.dumps(document),
            content_type="application/problem+json",
            headers=self.headers,
        )
        if self.headers.get("Connection") == "close":
            response.force_close()
        return response


def later(detail: str, retry_after_s: int, **extra: Any) -> Problem:
    """Return the problem that says: not now, try again."""
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers, **extra)


def too_much(detail: str, retry_after_s: int) -> Problem:
    """Return the problem that says: more than can be worked on, try again."""
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with a problem document whatever goes wrong, and keep the details of bugs to the log."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return Problem(error.status, error.reason, headers=allow).response()
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an error on our side; it has been logged"
        ).response()
