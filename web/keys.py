"""The header `Idempotency-Key`: a name that the client gives to its wish, so that it can ask again."""

import re
from http import HTTPStatus

from aiohttp import web

from models.idempotency import Key
from web.problems import Problem

HEADER = "Idempotency-Key"

LONGEST = 255

BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""Printable ASCII without space, quote, comma, semicolon and backslash, which mean something in a header."""

QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
"""A string of RFC 8941, as the IETF's draft of the header has it."""


def read_key(request: web.Request, scope: str) -> Key | None:
    """Return the key that the wish came with, for this scope alone; None where there is none.

    Raises:
        Problem: 400 for a key that can't be one, or more than one.
    """
    given = request.headers.getall(HEADER, None)
    if given is None:
        return None
    value = _value(given[0]) if len(given) == 1 else ""
    if not 1 <= len(value) <= LONGEST:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"{HEADER} is no key: one, of 1 to {LONGEST} printable ASCII characters, plain or in quotes",
            errors=[{"loc": ["header", HEADER], "msg": "expected one key", "type": "idempotency_key"}],
        )
    return Key(scope, value)


def _value(given: str) -> str:
    """Return what the header says, the same for both forms; nothing where it is neither."""
    if quoted := QUOTED.fullmatch(given):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return given if BARE.fullmatch(given) else ""
