"""Bytes from nobody knows where, made fit for a terminal: poison may hold what terminals obey."""

from collections.abc import Iterator

from msgspec import DecodeError
from msgspec.json import format as format_json

LINE = 16
"""Bytes a line of a dump."""

DUMPED_BYTES = 64 * 1024
"""How much of a value is dumped: nobody reads more."""


def plain(text: str) -> str:
    """Return the text with whatever is no visible character or blank spelt out."""
    return "".join(each if each.isprintable() else _spelt(each) for each in text)


def key_text(key: bytes | None) -> str:
    """Return a key as a person would write it, as far as it has such a form."""
    return "" if key is None else plain(key.decode("utf-8", "backslashreplace"))


def value_lines(value: bytes) -> Iterator[str]:
    """Yield the lines that show a value: JSON with its parts indented, else a dump."""
    pretty = pretty_json(value)
    if pretty is None:
        yield from dump(value[:DUMPED_BYTES])
        if len(value) > DUMPED_BYTES:
            yield f"... and {len(value) - DUMPED_BYTES:,} bytes more: --raw has them all"
    else:
        yield from map(plain, pretty.split("\n"))


def pretty_json(value: bytes) -> str | None:
    """Return JSON with its parts indented; None where it is none."""
    try:
        return format_json(value.decode(), indent=2)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def dump(value: bytes) -> Iterator[str]:
    """Yield offset, bytes in hexadecimal and, where they are visible ASCII, characters."""
    for start in range(0, len(value), LINE):
        line = value[start : start + LINE]
        visible = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)  # noqa: PLR2004  # ASCII
        yield f"{start:08x}  {line.hex(' '):<{LINE * 3 - 1}}  {visible}"


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode()
