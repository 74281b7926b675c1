"""A record mended by hand: nothing that can't be read goes back to its topic."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from msgspec import DecodeError
from msgspec.json import format as format_json

from app.delivery.codec import Undecodable, decode
from app.errors import LettersRefused
from app.letters.letter import Source
from app.letters.texts import pretty_json

EDITOR = "vi"


def fault(source: Source, key: bytes | None, value: bytes | None) -> str:
    """Return what is wrong with a record of this topic, nothing where it can be read."""
    try:
        decode(source.topic, key, value, 0)
    except Undecodable as error:
        return str(error)
    return ""


def from_file(path: Path, source: Source, key: bytes | None) -> bytes:
    """Return what a file holds as the value of a record of this topic and key.

    Raises:
        LettersRefused: the file can't be read, or what it holds can't.
    """
    try:
        value = format_json(path.read_bytes(), indent=-1)
    except OSError as error:
        raise LettersRefused(f"--edit {path}: {error.strerror}") from error
    except (DecodeError, RecursionError) as error:
        raise LettersRefused(f"{path} is no JSON: {error}") from error
    if wrong := fault(source, key, value):
        raise LettersRefused(f"{path} is no {source.topic} of this key: {wrong}")
    return value


def from_editor(value: bytes | None, source: Source, key: bytes | None) -> bytes:
    """Return what a person makes of a value, in $EDITOR.

    Raises:
        LettersRefused: the editor fails, nothing was changed, or what is left there can't be read; the file
            is kept then.
    """
    before = (pretty_json(value or b"") or "").encode() or value or b""
    descriptor, name = tempfile.mkstemp(prefix=f"{source.topic}-", suffix=".json")
    with os.fdopen(descriptor, "wb") as file:
        file.write(before)
    path = Path(name)
    _edit(path)
    if path.read_bytes() == before:
        path.unlink()
        raise LettersRefused("nothing was changed, so nothing is done")
    edited = from_file(path, source, key)
    path.unlink()
    return edited


def _edit(path: Path) -> None:
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or EDITOR)
    try:
        code = subprocess.run([*editor, str(path)], check=False).returncode  # noqa: S603  # their own editor
    except OSError as error:
        raise LettersRefused(f"the editor {editor[0]!r} can't be started: {error.strerror}") from error
    if code:
        raise LettersRefused(f"the editor ended with code {code}; {path} is kept")
