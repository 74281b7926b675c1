import sys
from pathlib import Path

import pytest

from app.delivery.codec import encode
from app.errors import LettersRefused
from app.letters.editing import fault, from_editor, from_file
from app.letters.letter import Source
from app.letters.texts import pretty_json
from tests.app.delivery.fakes import restocked

SOURCE = Source("INVENTORY_RESTOCKED", 0, 3)
GOOD = encode(restocked())


def editor(tmp_path: Path, body: str) -> str:
    """Return an editor that does this with the file."""
    script = tmp_path / "editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{body}\n")
    return f"{sys.executable} {script}"


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    path = tmp_path / "mended.json"
    path.write_text(pretty_json(GOOD) or "")
    return path


def test_a_mended_record_travels_without_the_blanks_of_its_editor(mended: Path) -> None:
    assert from_file(mended, SOURCE, b"sku-1") == GOOD


def test_an_edit_for_another_key_is_refused(mended: Path) -> None:
    with pytest.raises(
        LettersRefused, match="is no INVENTORY_RESTOCKED of this key: the record's key b'sku-2'"
    ):
        from_file(mended, SOURCE, b"sku-2")


def test_an_edit_that_is_another_message_is_refused(mended: Path) -> None:
    with pytest.raises(LettersRefused, match="is no ORDER_CREATED of this key: "):
        from_file(mended, Source("ORDER_CREATED", 0, 3), b"sku-1")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": 1} {}'])
def test_an_edit_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mended.json"
    path.write_bytes(content)
    with pytest.raises(LettersRefused, match=r"mended\.json is no "):
        from_file(path, SOURCE, b"sku-1")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LettersRefused, match=r"--edit .*nowhere\.json: No such file"):
        from_file(tmp_path / "nowhere.json", SOURCE, b"sku-1")


def test_what_an_editor_leaves_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", editor(tmp_path, "path.write_text(path.read_text().replace('67', '1'))"))
    broken = GOOD.replace(b'"quantity":1', b'"quantity":67')
    assert broken != GOOD
    assert from_editor(broken, SOURCE, b"sku-1") == GOOD


def test_an_editor_that_changes_nothing_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", editor(tmp_path, ""))
    with pytest.raises(LettersRefused, match="nothing was changed"):
        from_editor(b"\xff{", SOURCE, b"sku-1")


def test_an_edit_that_can_not_be_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("VISUAL", editor(tmp_path, "path.write_text('hours of work')"))
    with pytest.raises(LettersRefused) as refusal:
        from_editor(GOOD, SOURCE, b"sku-1")
    (kept,) = tmp_path.glob("INVENTORY_RESTOCKED-*.json")
    assert str(refusal.value).startswith(f"{kept} is no JSON: ")
    assert kept.read_text() == "hours of work"


@pytest.mark.parametrize(
    ("command", "sentence"), [("false", "ended with code 1"), ("/none", "can't be start")]
)
def test_an_editor_that_fails_is_one_sentence(
    command: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("VISUAL", command)
    with pytest.raises(LettersRefused, match=sentence):
        from_editor(GOOD, SOURCE, b"sku-1")


def test_a_record_has_a_fault_until_it_can_be_read() -> None:
    assert fault(SOURCE, b"sku-1", GOOD) == ""
    assert fault(SOURCE, b"sku-1", None) == "the record has no value"
