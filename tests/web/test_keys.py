"""What may stand in `Idempotency-Key`, and what it comes to."""

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from models.idempotency import Key
from web.keys import HEADER, LONGEST, read_key
from web.problems import Problem

SCOPE = "POST /orders"

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def read(*values: str) -> Key | None:
    headers = CIMultiDict([(HEADER, value) for value in values])
    return read_key(make_mocked_request("POST", "/orders", headers=headers), SCOPE)


def quoted(value: str) -> str:
    """Write a string as RFC 8941 has it."""
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


def test_without_the_header_there_is_no_key() -> None:
    assert read() is None


@pytest.mark.parametrize(
    "value",
    [
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "KG5LxwFBepaKHyUD",
        "order:4711/2_a.b~c",
        "bm90IGEgc2VjcmV0Cg==",
        "x",
        "x" * LONGEST,
    ],
)
def test_a_key_is_the_same_in_quotes_and_without(value: str) -> None:
    assert read(value) == read(quoted(value)) == Key(SCOPE, value)


@given(st.text(PRINTABLE, min_size=1, max_size=LONGEST))
def test_any_string_of_printable_characters_is_a_key_in_quotes(value: str) -> None:
    assert read(quoted(value)) == Key(SCOPE, value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        '""',
        " ",
        "a b",
        "a,b",
        "a;b",
        "a\\b",
        'a"b',
        '"a',
        'a"',
        '"a"b"',
        '"a\\b"',
        '"a";b=1',
        "schlüssel",
        '"schlüssel"',
        "a\tb",
        "x" * (LONGEST + 1),
        quoted("x" * (LONGEST + 1)),
    ],
)
def test_anything_else_is_refused_and_named(value: str) -> None:
    with pytest.raises(Problem) as refused:
        read(value)
    assert refused.value.status == 400
    (error,) = refused.value.extra["errors"]
    assert error["loc"] == ["header", HEADER]


def test_two_keys_are_refused() -> None:
    with pytest.raises(Problem):
        read("one", "one")
