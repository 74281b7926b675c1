"""What a PromQL expression asks for, and what there is to be asked for."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml
from prometheus_client import CollectorRegistry

from app import metrics
from app.audit.metrics import Metrics as AuditMetrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))

Rule = dict[str, Any]

OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
OF_A_TARGET = {"job", "instance"}


class Asked(NamedTuple):
    """Be one metric of an expression, with the values that its labels must or must not have."""

    name: str
    labels: dict[str, str]


def rules() -> list[Rule]:
    """Return every rule of every file."""
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in RULES]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def known() -> dict[str, set[str]]:
    """Return the labels of every series that a worker, the audit, Prometheus or a rule makes, by name."""
    found = {name: set(labels) for name, labels in OF_PROMETHEUS.items()}
    for registry in (metrics.REGISTRY, AuditMetrics().registry):
        found |= _of_registry(registry)
    return found | {rule["record"]: {"objective", "topic"} for rule in rules() if "record" in rule}


def buckets() -> dict[str, set[str]]:
    """Return the bounds of every histogram's buckets, as they are written, by name."""
    return {
        f"{name}_bucket": {str(float(bound)) for bound in collector._kwargs["buckets"]} | {"+Inf"}  # noqa: SLF001
        for name, collector in _ours(metrics.REGISTRY)
        if collector._type == "histogram"  # noqa: SLF001  # prometheus_client has no public way to ask
    }


def asked(expression: str) -> list[Asked]:
    """Return what the expression asks for.

    Raises:
        ValueError: it is no PromQL.
    """
    found = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.MatrixSelector):
            visit(part.vector_selector)
        elif isinstance(part, promql_parser.VectorSelector):
            found.append(Asked(part.name or "", {each.name: each.value for each in part.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def grouped(expression: str) -> set[str]:
    """Return the labels that the expression groups by."""
    found: set[str] = set()

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            found.update(part.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def faults(expression: str) -> Iterator[str]:
    """Yield what the expression asks for and nobody has: a metric, a label, the bound of a bucket."""
    series, bounds = known(), buckets()
    labels: set[str] = set()
    for name, wanted in asked(expression):
        if name not in series:
            yield f"nobody has the metric {name}"
            continue
        labels |= series[name]
        if stray := wanted.keys() - series[name] - OF_A_TARGET:
            yield f"{name} has no label {', '.join(sorted(stray))}"
        if "le" in wanted and wanted["le"] not in bounds[name]:
            yield f"{name} has no bucket up to {wanted['le']}"
    if stray := grouped(expression) - labels - OF_A_TARGET:
        yield f"nothing in it has the label {', '.join(sorted(stray))}"


def _of_registry(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Return the series of a registry: those of metrics with labels are there before they have a value."""
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        found |= {sample.name: set(sample.labels) for sample in family.samples}
    for name, collector in _ours(registry):
        labels = set(collector._labelnames)  # noqa: SLF001
        match collector._type:  # noqa: SLF001
            case "histogram":
                found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
            case "counter":
                found[f"{name}_total"] = labels
            case _:
                found[name] = labels
    return found


def _ours(registry: CollectorRegistry) -> Iterator[tuple[str, Any]]:
    collectors: Iterable[Any] = registry._collector_to_names  # noqa: SLF001
    for collector in collectors:
        if hasattr(collector, "_labelnames"):
            yield collector._name, collector  # noqa: SLF001
