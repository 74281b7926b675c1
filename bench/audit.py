"""Whether everything is right in the end: what was lost, sold too often, or charged wrongly; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.scenario import Figure

CHECKS = (
    Figure("lost", "orders lost (must be 0)"),
    Figure("oversold", "units oversold (must be 0)"),
    Figure("charged_twice", "orders charged wrongly (must be 0)"),
)
"""What every scenario of the whole saga shows below its figures."""

WORDS = {
    "lost": "orders are lost",
    "oversold": "units are oversold",
    "charged_twice": "orders are charged twice, or charged wrongly",
}


@dataclass
class Evidence:
    """Be what was found out about one run, from Kafka, the worker and the payment provider.

    `placed` and `taken_in` are order ids: what Kafka has accepted, and what the worker knows of;
    `completed` maps order ids to the units of each SKU that they were sold.
    """

    placed: set[str]
    taken_in: set[str]
    completed: Mapping[str, Mapping[str, int]]
    stock: Sequence[Mapping[str, Any]]
    charges: Sequence[Mapping[str, Any]]
    all_settled: bool = True
    acknowledged: int | None = None
    """How many orders were answered 202, where that is known."""


def judge(evidence: Evidence) -> dict[str, float]:
    """Return how many orders are lost, units oversold, and orders charged wrongly."""
    return {
        "lost": float(_lost(evidence)),
        "oversold": float(_oversold(evidence)),
        "charged_twice": float(_charged_wrongly(evidence)),
    }


def complaints(figures: Mapping[str, float], words: Mapping[str, str] = WORDS) -> list[str]:
    """Return a sentence for each check that failed, in these words."""
    return [f"{figures[name]:,.0f} {said}" for name, said in words.items() if figures.get(name)]


def _lost(evidence: Evidence) -> int:
    """Count what was accepted and is not known of, and what was answered 202 and is not in Kafka."""
    unheard_of = len(evidence.placed - evidence.taken_in)
    return unheard_of + max(0, (evidence.acknowledged or 0) - len(evidence.placed))


def _oversold(evidence: Evidence) -> int:
    """Count units sold beyond what there was, by the worker's own books and by those of the customers."""
    sold: Counter[str] = Counter()
    for units in evidence.completed.values():
        sold.update(units)
    over = 0
    for item in evidence.stock:
        booked = sold.pop(item["sku"], 0)
        unbalanced = item["restocked"] - item["available"] - item["reserved"] - item["sold"]
        over += max(0, booked - item["restocked"], -item["available"], -item["reserved"])
        over += abs(unbalanced)
        if evidence.all_settled:
            over += abs(booked - item["sold"]) + item["reserved"]
    return over + sold.total()


def _charged_wrongly(evidence: Evidence) -> int:
    """Count orders charged more than once; where all is settled, also charges and sales without the other."""
    charges = Counter(
        entry["idempotency_key"]
        for entry in evidence.charges
        if entry["kind"] == "charge" and entry["outcome"] == "completed"
    )
    refunded = {entry["charge"] for entry in evidence.charges if entry["kind"] == "refund"}
    wrong = {order for order, times in charges.items() if times > 1}
    if evidence.all_settled:
        wrong |= (set(charges) - refunded) ^ set(evidence.completed)
    return len(wrong)
