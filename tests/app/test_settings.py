"""Settings: the file, the environment over it, and what stops the start."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from app.errors import SettingsError
from app.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMMAND_S = 60

ADDRESSES = (
    "ORDERS_BROKER",
    "ORDERS_PAYMENT__URL",
    "ORDERS_NOTIFICATIONS__URL",
    "ORDERS_TRANSFER__URL",
    "ORDERS_TRACING__ENDPOINT",
)
MISWRITTEN = (("", ":80"), ("ftp://", ":80"), ("http:/", ""), ("http:// ", " "), ("https//", ""))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in os.environ:
        if name.upper().startswith("ORDERS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a settings file that is still to be written."""
    return tmp_path / "mine.yml"


def written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def names(model: type[BaseModel]) -> dict[str, Any]:
    """Return every setting's name, nested as in the file."""
    return {
        name: names(kind) if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel) else 0
        for name, field in model.model_fields.items()
    }


def keys(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: keys(value) if isinstance(value, dict) else 0 for key, value in document.items()}


def topics(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m app ... topics` as an operator would."""
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "app", *arguments, "topics"],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def test_the_file_in_the_repository_names_every_setting_and_no_other() -> None:
    assert keys(yaml.safe_load((ROOT / "faust.yml").read_text("utf-8"))) == names(Settings)


def test_the_file_in_the_repository_holds_the_defaults() -> None:
    assert load(ROOT / "faust.yml") == Settings()


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    assert load(written(file, "# nothing\n")) == Settings()


def test_what_the_file_says_is_taken_and_the_rest_is_as_by_default(file: Path) -> None:
    settings = load(written(file, "partitions: 3\nweb:\n  port: 7000\n"))
    assert (settings.partitions, settings.web.port) == (3, 7000)
    assert settings.web.host == Settings().web.host


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("partitons: 3", "partitons: no such setting; did you mean partitions?"),
        ("1: 2", "1: no such setting"),
        ("web: {prot: 80}", "web.prot: no such setting; did you mean web.port?"),
        ("trasnfer: {url: x}", "trasnfer: no such setting; did you mean transfer?"),
        (
            "kafka: {compression: lz4, compresion: lz4}",
            "kafka.compresion: no such setting; did you mean kafka.compression?",
        ),
        ("partitions: 0", "partitions = 0: expected greater than or equal to 1"),
        ("partitions: 1001", "partitions = 1001: expected less than or equal to 1000"),
        ("partitions: many", "partitions = 'many': expected a valid integer"),
        ("partitions: null", "partitions = None: expected a valid integer"),
        ("partitions: 1.5", "partitions = 1.5: expected a valid integer"),
        ("payment: {attempts: 1}", "payment.attempts = 1: expected greater than or equal to 2"),
        ("broker: kafka", "broker = 'kafka': expected match pattern"),
        ("broker: ''", "broker = '': expected match pattern"),
        ("worker_id: a/b", "worker_id = 'a/b': expected match pattern"),
        ("log_level: loud", "log_level = 'loud': expected match pattern '^(debug|info|warning|error)$'"),
        ("web: {port: 65536}", "web.port = 65536: expected less than or equal to 65535"),
        ("web: 3", "web = (not shown): expected a valid dictionary"),
        ("web:", "web = (not shown): expected a valid dictionary"),
        (
            "transfer: {since: 2026-01-01}",
            "transfer.since = datetime.date(2026, 1, 1): expected a valid string",
        ),
        ("payment: {url: ftp://x}", "payment.url = 'ftp://x': expected match pattern '^https?://"),
        (
            "payment: {url: 'http://h:99999'}",
            "payment.url = 'http://h:99999': expected a URL with a host, and",
        ),
        ("transfer: {url: 'http://[::1'}", "transfer.url = 'http://[::1': expected a URL with a host, and"),
        (
            "tracing: {endpoint: 'http://?x'}",
            "tracing.endpoint = 'http://?x': expected a URL with a host, and",
        ),
        ("limits: {body_bytes: -1}", "limits.body_bytes = -1: expected greater than or equal to 1"),
    ],
)
def test_a_fault_in_the_file_names_the_key_the_value_and_what_was_expected(
    file: Path, text: str, fault: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(written(file, text))
    assert str(refusal.value).startswith(f"{file}: {fault}")
    assert "\n" not in str(refusal.value)


def test_every_fault_is_named_at_once(file: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(written(file, "partitions: 0\nnote: hello\nweb: {port: 0, prot: 1}\n"))
    named = [line.removeprefix(f"{file}: ") for line in str(refusal.value).splitlines()]
    assert {re.split(" = |: ", line)[0] for line in named} == {"partitions", "note", "web.port", "web.prot"}


@pytest.mark.parametrize(("text", "kind"), [("- 1", "list"), ("[]", "list"), ("3", "int"), ("''", "str")])
def test_a_file_that_is_no_mapping_is_refused(file: Path, text: str, kind: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(written(file, text))
    assert str(refusal.value) == f"{file} holds {kind}, expected settings as `key: value`"


@pytest.mark.parametrize("raw", [b"a: b: c", b"\x00", b"\xff\xfe\xfd", b"key: [1,", b"day: 2026-13-01"])
def test_a_file_that_is_no_yaml_is_refused(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    with pytest.raises(SettingsError) as refusal:
        load(file)
    assert str(refusal.value).startswith(f"{file} can't be read as YAML: ")


def test_a_file_that_is_no_yaml_is_refused_with_the_line_and_the_column(file: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(written(file, "partitions: 3\nbroker: a: b\n"))
    assert str(refusal.value) == f"{file} can't be read as YAML: see line 2, column 10"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"can't be read as YAML: .*Is a directory"):
        load(tmp_path)


def test_a_missing_file_is_refused_with_the_remedy(file: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(file)
    assert str(refusal.value) == f"{file} does not exist; name another file with --config PATH"


def test_the_environment_stands_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_PARTITIONS", "5")
    monkeypatch.setenv("ORDERS_WEB__PORT", "7001")
    settings = load(written(file, "partitions: 3\nbroker: k:1\nweb: {port: 7000, host: here}\n"))
    assert (settings.partitions, settings.broker) == (5, "k:1")
    assert (settings.web.port, settings.web.host) == (7001, "here")


def test_the_environment_mends_a_bad_value_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_PARTITIONS", "5")
    assert load(written(file, "partitions: many")).partitions == 5


def test_the_environment_is_read_whatever_its_case(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("orders_web__Port", "7001")
    assert load(written(file, "")).web.port == 7001


def test_other_programs_variables_are_none_of_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS", "nonsense")
    monkeypatch.setenv("ORDER_PARTITIONS", "nonsense")
    assert load(written(file, "")) == Settings()


@pytest.mark.parametrize(
    "name",
    ["ORDERS_PARTITONS", "ORDERS_WEB__PROT", "ORDERS_WEB__PORT__X", "ORDERS_WEB", "ORDERS_", "orders_x"],
)
def test_an_unknown_variable_is_refused_by_its_name(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "{bad")
    with pytest.raises(SettingsError) as refusal:
        load(written(file, ""))
    assert str(refusal.value).startswith(f"{name}: no such setting")
    assert "{bad" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ORDERS_PARTITONS", "ORDERS_PARTITIONS"),
        ("ORDERS_TRANSFER_SECRET", "ORDERS_TRANSFER__SECRET"),
        ("orders_web__prot", "ORDERS_WEB__PORT"),
        ("ORDERS_CONFG", "ORDERS_CONFIG"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_may_be_meant(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError) as refusal:
        load(written(file, ""))
    assert str(refusal.value) == f"{name}: no such setting; did you mean {meant}?"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERS_TRANSFER_SECRET", "hush"),
        ("ORDERS_TRANSFER", '{"secret": "hush"}'),
        ("ORDERS_NOTIFICATIONS__SMTP", '{"password": "hush"}'),
        ("ORDERS_NOTIFICATIONS__SMTP__PASSWD", "hush"),
        ("ORDERS_TRANSFER__SECRET__V2", "hush"),
        *((name, f"{start}shop:hush@host{rest}") for name in ADDRESSES for start, rest in MISWRITTEN),
    ],
)
def test_no_refusal_of_a_variable_shows_a_secret(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load(written(file, ""))
    assert str(refusal.value).startswith(name)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        *("transfer_secret: hush", "transfer: {secrets: hush}", "transfer: {secret: [hush]}"),
        *("notifications: {smtp: {passwd: hush}}", "notifications: {smtp: hush}", "smtp: {passwd: hush}"),
        *("transfer: hush", "transfer: [hush]", "transfer: {url: {secret: hush}}", "transfer: {secret:hush}"),
        *("partitions: {secret: hush}", "transfer: {since: [hush]}", "transfer:\n  secret:hush"),
        *("transfer: {secret: 'hush}", "transfer: {secret: *hush}", "transfer: {secret: !hush x}"),
        *(
            "transfer:\n  secret: hush: hush",
            "transfer: {secret: hush",
            "transfer: {secret: &hush hush, - x}",
        ),
        *("transfer: {secret: %hush}", "transfer: {secret: `hush}", "transfer:\n\tsecret: hush"),
    ],
)
def test_no_refusal_of_a_file_shows_a_secret(file: Path, text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(written(file, text))
    assert str(refusal.value).startswith(str(file))
    assert "hush" not in str(refusal.value)


def test_a_url_is_shown_but_for_whom_it_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_PAYMENT__URL", "ftp://shop:hush@host/path")
    with pytest.raises(SettingsError) as refusal:
        load(written(file, ""))
    assert str(refusal.value).startswith(
        "ORDERS_PAYMENT__URL = 'ftp://(not shown)@host/path': expected match"
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ORDERS_PARTITIONS", "x", "a valid integer"),
        ("ORDERS_PARTITIONS", "", "a valid integer"),
        ("ORDERS_WEB__PORT", "0", "greater than or equal to 1"),
        ("ORDERS_PAYMENT__URL", "nowhere", "match pattern"),
        ("orders_log_level", "LOUD", "match pattern '^(debug|info|warning|error)$'"),
    ],
)
def test_a_bad_value_in_the_environment_names_the_variable_the_value_and_what_was_expected(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load(written(file, ""))
    assert str(refusal.value).startswith(f"{name} = {value!r}: expected {expected}")


def test_without_a_path_the_variable_says_which_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_CONFIG", str(written(file, "partitions: 7")))
    assert load().partitions == 7


def test_without_path_or_variable_it_is_faust_yml_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "faust.yml", "partitions: 9")
    assert load().partitions == 9


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().web.port = 1  # type: ignore[misc]  # which is what is tested


def test_a_worker_is_named_after_its_host_and_port_unless_it_has_a_name() -> None:
    first, second = (Settings.model_validate({"web": {"port": port}}) for port in (7000, 7001))
    assert first.member_id.endswith("-7000")
    assert first.member_id != second.member_id
    assert first.worker_dir != second.worker_dir
    assert Settings(worker_id="blue").member_id == "blue"


@pytest.mark.parametrize(
    ("text", "environment", "fault"),
    [
        ("partitons: 3", {}, "{file}: partitons: no such setting; did you mean partitions?"),
        ("", {"ORDERS_WEB__PORT": "0"}, "ORDERS_WEB__PORT = '0': expected greater than or equal to 1"),
        (None, {}, "{file} does not exist; name another file with --config PATH"),
    ],
)
def test_a_command_with_bad_settings_ends_with_one_line_and_code_1(
    file: Path, text: str | None, environment: dict[str, str], fault: str
) -> None:
    if text is not None:
        written(file, text)
    done = topics("--config", str(file), environment=environment)
    assert done.stderr == f"error: {fault.format(file=file)}\n"
    assert (done.returncode, done.stdout) == (1, "")


def test_the_file_named_on_the_command_line_is_the_one_that_is_read(file: Path) -> None:
    other = written(file.with_name("other.yml"), "other: x")
    done = topics("--config", str(written(file, "mine: x")), environment={"ORDERS_CONFIG": str(other)})
    assert done.stderr == f"error: {file}: mine: no such setting\n"
