"""The alerts: every name in them is one that workers have, and each says what to do and where to read on."""

import re
from pathlib import Path

import pytest

from app import providers
from app.breaker import Breaker
from models.order import SETTLED, OrderStatus
from tests.deploy.promql import RULES, Rule, asked, faults, rules
from web import placing

ROOT = Path(__file__).parents[2]
ALERTS = [rule for rule in rules() if "alert" in rule]
BREAKER = "orders_provider_breaker_open"
BUDGET = 0.001
BURN_RATES = {"1h": 14.4, "6h": 6, "1d": 3, "3d": 1}
"""Of the SRE workbook, chapter 5: 2, 5, 10 and 10 % of a month's budget, by the window."""


def sections(page: Path) -> set[str]:
    """Return the anchors of the page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def name_of(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def test_there_are_rules() -> None:
    assert len(RULES) >= 2
    assert len(ALERTS) >= 10


@pytest.mark.parametrize("rule", rules(), ids=name_of)
def test_a_rule_asks_for_nothing_that_nobody_has(rule: Rule) -> None:
    assert not list(faults(rule["expr"]))


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_says_what_is_wrong_what_to_do_and_where_more_of_it_is(rule: Rule) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    said = rule["annotations"]
    assert said["summary"].strip()
    assert said["action"].strip().endswith((".", "`"))
    page, anchor = said["runbook"].split("#")
    assert anchor in sections(ROOT / page)


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_commands_and_settings_in_an_alert_are_in_the_operations_page(rule: Rule) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for quoted in re.findall(r"`(.*?)`", rule["annotations"]["action"]):
        assert quoted.split(" --json")[0] in page
    for setting in re.findall(r"\b(?:web|kafka|saga|payment)\.\w+", rule["annotations"]["action"]):
        assert setting in page


def test_budgets_burn_at_the_rates_of_the_workbook_over_its_two_windows() -> None:
    budgets = [rule for rule in ALERTS if "window" in rule["labels"]]
    assert {rule["labels"]["window"] for rule in budgets} == BURN_RATES.keys()
    for rule in budgets:
        window = rule["labels"]["window"]
        limits = re.findall(r"ratio_rate(\w+) > (?:([\d.]+) \* )?0\.001", rule["expr"])
        assert limits[0][0] == window
        assert [float(factor or 1) for _, factor in limits] == [BURN_RATES[window]] * 2


def test_values_of_labels_in_the_objectives_are_values_there_are() -> None:
    found = [each for rule in rules() for each in asked(rule["expr"])]
    statuses = {each.labels["status"] for each in found if each.name.startswith("orders_settled")}
    assert statuses == {"COMPLETED|CANCELLED"}
    assert {OrderStatus.COMPLETED, OrderStatus.CANCELLED} == SETTLED - {OrderStatus.REFUNDED}
    routes = {f"{each.labels['method']} {each.labels['route']}" for each in found if "route" in each.labels}
    assert routes == {placing.SCOPE}


def test_orders_wait_for_no_provider_but_that_of_payments() -> None:
    there = {name for name, each in vars(providers).items() if isinstance(each, Breaker)}
    named = {
        each.labels["provider"] for rule in ALERTS for each in asked(rule["expr"]) if each.name == BREAKER
    }
    assert named == {"payment"} <= there
    by_name = {name_of(rule): rule for rule in ALERTS}
    assert 'provider="payment"' in by_name["OrdersBreakerOpen"]["expr"]
    assert 'provider!="payment"' in by_name["OrdersOutsideAway"]["expr"]
    assert by_name["OrdersOutsideAway"]["labels"]["severity"] == "ticket"


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("orders_redy == 1", "nobody has the metric orders_redy"),
        ('orders_ready{stage="orders"}', "orders_ready has no label stage"),
        ('orders_settled_seconds_bucket{le="1.5"}', "orders_settled_seconds_bucket has no bucket up to 1.5"),
        ("sum by (stage) (rate(orders_dead_letters_total[5m]))", "nothing in it has the label stage"),
    ],
)
def test_what_nobody_has_is_found(expression: str, fault: str) -> None:
    assert list(faults(expression)) == [fault]
