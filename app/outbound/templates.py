"""The words that customers read: files that a person can edit, refused at the start if they are broken."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from app.errors import SettingsError
from models.notification import SEQUENCE, WORDS


class Text(NamedTuple):
    """Be a subject, in one line, and a text."""

    subject: str
    text: str


class Templates:
    """Hold one template for each end of an order.

    Raises:
        SettingsError: a file is missing, has no subject or no text, or names what there is not.
    """

    def __init__(self, folder: Path) -> None:
        self._texts = {str(kind): _read(folder / f"{kind.lower()}.txt") for kind in SEQUENCE}

    def render(self, kind: str, words: Mapping[str, str]) -> Text:
        """Return what the customer reads."""
        subject, text = self._texts[kind]
        return Text(Template(subject).substitute(words), Template(text).substitute(words))


def _read(path: Path) -> Text:
    try:
        subject, _, rest = path.read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read as a template: {error}") from None
    if not (subject.strip() and rest.startswith("\n") and rest.strip()):
        raise SettingsError(f"{path}: expected a line with the subject, an empty line, and the text")
    _require_known(path, Template(subject + rest))
    return Text(subject.strip(), rest.strip() + "\n")


def _require_known(path: Path, template: Template) -> None:
    try:
        template.substitute(dict.fromkeys(WORDS, ""))
    except KeyError as error:
        known = ", ".join(f"${word}" for word in WORDS)
        raise SettingsError(f"{path} names ${error.args[0]}: expected {known}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; a dollar sign is written $$") from None
