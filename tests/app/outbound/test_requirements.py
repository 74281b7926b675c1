"""What outbound stages are refused with at the start, each in one sentence that names it and no secret."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from app import receiver as simulated
from app.errors import SettingsError
from app.outbound import require
from app.outbound.templates import Templates
from app.settings import Settings, load
from models.notification import WORDS

ROOT = Path(__file__).parents[3]
SECRET = "whsec_YS1zZWNyZXQtb2YtdGVzdHMtYW5kLW9mLW5vYm9keQ=="
BY_DEFAULT = ("orders", "inventory", "payments", "analytics")
TRANSFER = {"url": "https://warehouse.example/in", "secret": SECRET, "since": "2026-01-01T00:00:00Z"}


def settings(**groups: Any) -> Settings:
    return Settings.model_validate(groups)


def test_by_default_both_are_off_and_need_nothing() -> None:
    assert settings().active_stages == BY_DEFAULT
    assert settings().group == "orders"
    require(settings())


def test_what_is_switched_on_runs_and_the_group_is_the_same() -> None:
    on = settings(
        transfer=TRANSFER, notifications={"channel": "log", "templates": ROOT / "templates/notifications"}
    )
    assert on.active_stages == (*BY_DEFAULT, "notifications", "transfer")
    assert on.group == settings().group
    assert on.worker_dir == settings().worker_dir
    assert on.instance_id == f"{settings().instance_id}.notifications.transfer"
    require(on)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"stages": "transfer"}, "^stages = 'transfer': all off; .* transfer.url switch them on"),
        ({"transfer": {**TRANSFER, "since": ""}}, "^transfer.since = '': expected a time"),
        (
            {"transfer": {**TRANSFER, "since": "2026-13-01T00:00:00Z"}},
            "^transfer.since = .*: expected a time",
        ),
        (
            {"transfer": TRANSFER, "outbound": {"allowed_hosts": "erp.example,other.example"}},
            "^transfer.url: its host 'warehouse.example' is none of outbound.allowed_hosts",
        ),
        ({"notifications": {"channel": "webhook"}}, "^notifications.url is empty"),
        (
            {"notifications": {"channel": "log", "templates": "no/such"}},
            "^no/such/completed.txt can't be read",
        ),
    ],
)
def test_what_can_not_work_is_refused(groups: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        require(settings(**groups))


def secret_of(length: int) -> str:
    return f"whsec_{b64encode(bytes(range(length))).decode()}"


@pytest.mark.parametrize(
    "secret",
    [
        *("", "whsec_", "my-secret", "whsec_my-secret", "whsec_#!", SECRET.removeprefix("whsec_")),
        *(
            SECRET.upper(),
            f" {SECRET}",
            f"{SECRET}\n",
            f"{SECRET}=",
            SECRET.rstrip("="),
            f"{SECRET[:9]}-{SECRET[9:]}",
        ),
        *(secret_of(23), secret_of(65), "whsec_" + "\u00e4" * 32),
    ],
)
@pytest.mark.parametrize("name", ["transfer", "notifications"])
def test_what_is_no_secret_of_standard_webhooks_is_refused_and_not_shown(name: str, secret: str) -> None:
    chosen: dict[str, Any] = {**TRANSFER, "secret": secret}
    if name == "notifications":
        chosen = {"channel": "webhook", "url": TRANSFER["url"], "secret": secret}
    with pytest.raises(SettingsError) as refused:
        require(settings(**{name: chosen}))
    assert str(refused.value) == f'{name}.secret: expected "whsec_" and the base64 of 24 to 64 bytes'


@pytest.mark.parametrize("secret", [secret_of(24), secret_of(25), secret_of(64), simulated.SECRET])
def test_a_secret_of_standard_webhooks_is_taken(secret: str) -> None:
    require(settings(transfer={**TRANSFER, "secret": secret}))


def test_a_host_that_is_allowed_is_taken() -> None:
    require(settings(transfer=TRANSFER, outbound={"allowed_hosts": "warehouse.example"}))


def test_a_secret_is_shown_neither_in_settings_nor_in_the_refusal_of_one(
    tmp_path: Path,
) -> None:
    assert SECRET not in repr(settings(transfer=TRANSFER))
    file = tmp_path / "faust.yml"
    file.write_text("transfer: {secret: [hush]}")
    with pytest.raises(SettingsError) as refused:
        load(file)
    assert "hush" not in str(refused.value)
    assert "transfer.secret = (not shown)" in str(refused.value)


def written(folder: Path, text: str) -> Path:
    for name in ("completed", "cancelled", "refunded"):
        (folder / f"{name}.txt").write_text("Subject\n\nText\n")
    (folder / "cancelled.txt").write_text(text)
    return folder


def test_the_templates_that_come_with_it_say_what_happened() -> None:
    shipped = Templates(ROOT / "templates" / "notifications")
    said = shipped.render("CANCELLED", {**dict.fromkeys(WORDS, "x"), "reason": "payment declined"})
    assert "payment declined" in said.text
    assert "\n" not in said.subject


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a line with the subject"),
        ("Subject alone", "expected a line with the subject"),
        ("Subject\nno empty line", "expected a line with the subject"),
        ("Subject\n\n$surname", r"cancelled.txt names \$surname: expected \$order_id"),
        ("$ordr_id\n\nText", r"names \$ordr_id"),
        ("Subject\n\ncosts 5$", r"a dollar sign is written \$\$"),
    ],
)
def test_a_broken_template_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Templates(written(tmp_path, text))


def test_what_customers_are_called_is_put_in_as_it_is(tmp_path: Path) -> None:
    templates = Templates(written(tmp_path, "Order $order_id\n\nFor 5$$, $customer_id\n"))
    said = templates.render(
        "CANCELLED", {**dict.fromkeys(WORDS, ""), "order_id": "1", "customer_id": "$reason"}
    )
    assert said == ("Order 1", "For 5$, $reason\n")
