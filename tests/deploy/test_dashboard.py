"""The dashboard: what its panels ask for is there, and every metric of a worker is on it."""

import json
import re
from typing import Any

import pytest

from app import metrics
from tests.deploy.promql import DEPLOY, asked, faults

BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "orders.json").read_text("utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


def as_promql(expression: str) -> str:
    """Return the expression as Grafana would send it."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_panel_asks_for_nothing_that_nobody_has(expression: str) -> None:
    assert not list(faults(as_promql(expression)))


def test_every_metric_of_a_worker_is_on_it() -> None:
    shown = {each.name for case in EXPRESSIONS for each in asked(as_promql(str(case.values[0])))}
    ours = {family.name for family in metrics.REGISTRY.collect() if family.name.startswith("orders_")}
    assert [name for name in ours if not any(each.startswith(name) for each in shown)] == []


def test_legends_name_labels_by_which_their_panel_groups() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert label in target["expr"] or label in {"instance", "objective", "provider"}, panel[
                    "title"
                ]


def test_no_two_panels_have_a_number_or_a_place_in_common() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    cells = [cell for panel in BOARD["panels"] for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells))


def test_where_to_look_for_workers_is_asked_of_a_metric_that_there_is() -> None:
    queries = [each["query"] for each in BOARD["templating"]["list"] if each["type"] == "query"]
    names = [re.fullmatch(r"label_values\((\w+), instance\)", query) for query in queries]
    assert [name and list(faults(name[1])) for name in names] == [[]]


def _cells(place: dict[str, Any]) -> list[tuple[int, int]]:
    columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return [(column, row) for column in columns for row in rows]
