"""Routes: plain aiohttp handlers, on the aiohttp application that Faust serves.

No Faust views: each request would go through two more coroutines and two sensors, for pages that are not
shown. `app.web.web_app` is the application that Faust's own views would be put on.
"""

from collections.abc import Callable
from typing import TypeVar

from aiohttp import hdrs

from app.main import app
from web.problems import Handler

H = TypeVar("H", bound=Handler)

router = app.web.web_app.router


def get(path: str) -> Callable[[H], H]:
    """Have the handler answer GET of the path, and HEAD with it."""

    def declare(handler: H) -> H:
        router.add_get(path, handler)
        return handler

    return declare


def post(path: str) -> Callable[[H], H]:
    """Have the handler answer POST to the path."""

    def declare(handler: H) -> H:
        router.add_route(hdrs.METH_POST, path, handler)
        return handler

    return declare
