"""What is wrong with settings, said without a secret: a value is shown only where it is known what it is."""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from difflib import get_close_matches

from pydantic import BaseModel
from yaml import MarkedYAMLError

SECRETS = frozenset({"secret", "password"})
"""Settings that no message shows."""

ADDRESSES = frozenset({"broker", "endpoint", "url"})
"""Settings that may name a user and a password, which no message shows either."""

HIDDEN = "(not shown)"

Keys = tuple[str, ...]

_USER = re.compile(r"^(\w+://)?.*@", re.DOTALL)  # up to the last: a password may hold anything
_BEHIND_A_NAME = re.compile(r"[^\w.-].*", re.DOTALL)


def find_names(model: type[BaseModel], above: Keys = ()) -> Iterator[Keys]:
    """Yield the name of each setting behind those of its groups."""
    for name, field in model.model_fields.items():
        keys = (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from find_names(field.annotation, keys)
        else:
            yield keys


def no_such(name: str, known: Iterable[str]) -> str:
    """Say that there is no such setting, and which may be meant; a key like `secret:hush` is cut short."""
    as_known = {each.lower(): each for each in known}  # variables are read whatever their case
    meant = get_close_matches(name.lower(), as_known, n=1)
    remedy = f"; did you mean {as_known[meant[0]]}?" if meant else ""
    return f"{_BEHIND_A_NAME.sub('...', name)}: no such setting{remedy}"


def shown(keys: Keys, value: object, known: Collection[Keys]) -> str:
    """Return a value that is wrong as far as it may be shown: no group, nor what stands for one."""
    if SECRETS & set(keys) or keys not in known or not isinstance(value, str | float | int | date | None):
        return HIDDEN
    if isinstance(value, str) and ADDRESSES & set(keys):
        value = _USER.sub(rf"\1{HIDDEN}@", value)
    return repr(value)


def unreadable(error: Exception) -> str:
    """Say why a file is no YAML; no word of what is there, which may be a secret."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return str(error) if mark is None else f"see line {mark.line + 1}, column {mark.column + 1}"
