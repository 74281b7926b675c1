"""Routes: plain aiohttp handlers, on the aiohttp application that Faust serves.

No Faust views: each request would go through two more coroutines and two sensors, for pages that are not
shown. `app.web.web_app` is the application that Faust's own views would be put on.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from aiohttp import hdrs, web

from app.main import app
from app.settings import current
from web.problems import Handler, Problem

H = TypeVar("H", bound=Handler)

router = app.web.web_app.router


def get(path: str, stage: str | None = None) -> Callable[[H], H]:
    """Have the handler answer GET of the path, and HEAD with it, where this worker runs the stage."""

    def declare(handler: H) -> H:
        router.add_get(path, _here(handler, stage))
        return handler

    return declare


def post(path: str, stage: str | None = None) -> Callable[[H], H]:
    """Have the handler answer POST to the path, where this worker runs the stage."""

    def declare(handler: H) -> H:
        router.add_route(hdrs.METH_POST, path, _here(handler, stage))
        return handler

    return declare


def require_here(stage: str) -> None:
    """Refuse what only workers of another group can answer.

    Raises:
        Problem: 421 where this worker does not run the stage.
    """
    run = current().stage_names
    if stage not in run:
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"this worker runs {', '.join(run)}: ask one that runs {stage}",
        )


def _here(handler: Handler, stage: str | None) -> Handler:
    """Return the handler, or what says that nobody of this worker's group can answer."""
    if stage is None or stage in current().stage_names:
        return handler

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        require_here(stage)
        return await handler(request)

    return elsewhere
