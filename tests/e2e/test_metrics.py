"""`GET /metrics` of a worker at work: every name that is promised, and figures that move as orders do."""

import re
from pathlib import Path

from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from app import metrics
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System

KAFKA_S = 30
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(shop: Shop) -> Samples:
    """Return every sample, by name and labels."""
    async with shop.session.get(f"{shop.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        text = await answer.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def is_quiet(found: Samples) -> bool:
    """Tell whether nothing is left to be done."""
    lag = sum(value for (name, _), value in found.items() if name == "orders_consumer_lag_records")
    still = ("orders_commit_age_seconds", "orders_oldest_unsettled_seconds", "orders_payments_open")
    return lag == 0 and all(found[key(name)] == 0 for name in still)


def test_every_metric_is_explained_with_its_kind_and_labels_and_none_besides() -> None:
    rows = re.findall(r"^\| `(orders_\w+)` \| (\w+) \| (.*?) \|", OPERATIONS, re.MULTILINE)
    explained = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    there = {
        name.removesuffix("_created"): (collector._type, collector._labelnames)  # noqa: SLF001  # no public way
        for name, collector in metrics.__dict__.items()
        if name.isupper() and hasattr(collector, "_labelnames")
        for name in (collector._name + ("_total" if collector._type == "counter" else ""),)  # noqa: SLF001
    }
    assert explained == there


async def test_an_order_shows_in_every_stage_in_http_and_in_the_time_to_settle(shop: Shop) -> None:
    before = await scraped(shop)
    sku = new_sku()
    await shop.restock(sku, 1)
    assert (await shop.buy(order(item(sku))))["status"] == "COMPLETED"
    ended = key("orders_settled_seconds_count", status="COMPLETED")
    after: Samples = await until(
        lambda: scraped(shop), lambda found: found.get(ended, 0) > before.get(ended, 0)
    )

    def grown(name: str, **labels: str) -> float:
        return after.get(key(name, **labels), 0) - before.get(key(name, **labels), 0)

    for stage in ("orders", "inventory", "payments"):
        assert grown("orders_stage_batch_inputs_sum", stage=stage) >= 2
        for step in ("decide", "states", "rows", "messages"):
            assert grown("orders_stage_step_seconds_count", stage=stage, step=step) >= 1
    assert grown("orders_settled_seconds_count", status="COMPLETED") == 1
    assert grown("orders_http_request_seconds_count", method="POST", route="/orders", status="202") == 1
    assert after[key("orders_ready")] == 1
    assert after[key("orders_provider_breaker_open", provider="payment")] == 0
    assert after[key("orders_recovery_records_left")] == 0


async def test_what_is_settled_leaves_no_lag_and_nothing_uncommitted(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    await shop.buy(order(item(sku)))
    await until(lambda: scraped(shop), is_quiet)


async def test_an_order_that_waits_is_as_old_as_it_is(shop: Shop) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    placed = await shop.place(order(item(sku), token="tok_slow"))
    await until(lambda: scraped(shop), lambda found: found[key("orders_oldest_unsettled_seconds")] > 0.2)
    assert (await shop.settled(placed))["status"] == "COMPLETED"


async def test_what_was_asked_for_in_vain_is_counted_without_its_path(shop: Shop) -> None:
    await shop.get("/no/such/path")
    found = await scraped(shop)
    assert (
        found[key("orders_http_request_seconds_count", method="unknown", route="unknown", status="404")] >= 1
    )


async def test_a_dead_letter_is_counted_by_its_topic(shop: Shop, system: System) -> None:
    name = key("orders_dead_letters_total", topic="INVENTORY_SALE_REQUESTED")
    before = (await scraped(shop)).get(name, 0)
    producer = Producer({"bootstrap.servers": system.bootstrap})
    producer.produce("INVENTORY_SALE_REQUESTED", b"no JSON", b"sku")
    producer.flush(KAFKA_S)
    await until(lambda: scraped(shop), lambda found: found.get(name) == before + 1)
