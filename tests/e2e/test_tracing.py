"""Tracing: an order's way through HTTP, every stage and the provider is one trace; off is nothing at all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from app.delivery.meter import STEPS
from app.receiver import SECRET
from app.stages import STAGES, group_of
from tests.e2e.collector import Collector, Seen, collecting
from tests.e2e.outside import Warehouse
from tests.e2e.shop import Document, Shop, item, new_sku, order, until
from tests.e2e.system import System, free_port, secluded
from tests.e2e.test_metrics import Samples, is_quiet, key, scraped

CUSTOMER = "customer-whom-nobody-names"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HALVES = ("orders,inventory,payments", "analytics,notifications,transfer")
"""The stages of each of two workers."""

SAMPLED = 1
"""Of the flags of a `traceparent`."""

ABSENT = "raise ModuleNotFoundError('as if it was not installed')\n"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system of its own: other workers of its group would take orders over, and not be traced."""
    with secluded(tmp_path_factory.mktemp("traced")) as system:
        # In every worker: it is part of a member's name, and another waits until this one's session is over.
        system.settings |= {
            "ORDERS_NOTIFICATIONS__CHANNEL": "log",
            "ORDERS_TRANSFER__URL": f"{system.provider_url}/transfers",
            "ORDERS_TRANSFER__SECRET": SECRET,
            "ORDERS_TRANSFER__SINCE": "2020-01-01T00:00:00Z",
            "ORDERS_OUTBOUND__PRIVATE_ADDRESSES": "true",
        }
        yield system


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    """Give whom the workers tell."""
    async with collecting() as opened:
        yield opened


async def bought(
    system: System, environment: dict[str, str], session: aiohttp.ClientSession, *tokens: str
) -> list[Document]:
    """Return orders that two workers have settled, which then have stopped, and sent all they had to."""
    # Always the same ports, and so the same members: others would wait until these ones' sessions are over.
    ports = tuple(system.workers) or (free_port(), free_port())
    workers = await asyncio.gather(
        *(
            system.worker(port, {**environment, "ORDERS_STAGES": stages})
            for port, stages in zip(ports, HALVES, strict=True)
        )
    )
    shop, teller = (Shop(session, url) for _, url in workers)
    sku = new_sku()
    await shop.restock(sku, len(tokens))
    orders = [await shop.buy(order(item(sku), token=token, customer=CUSTOMER)) for token in tokens]
    # All that was traced is to be handled now, or the next workers would trace what is left.
    await until(lambda: scraped(shop), is_quiet)
    sold = sum(each["status"] == "COMPLETED" for each in orders)
    wanted = {"notifications": len(orders), "transfer": sold}
    await until(lambda: scraped(teller), lambda found: is_quiet(found) and delivered(found) == wanted)
    assert await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker, _ in workers)) == [0, 0]
    return orders


def delivered(found: Samples) -> dict[str, float]:
    """Return how many messages each stage has delivered since its start, once all of that is on record."""
    stages = ("notifications", "transfer")
    if any(found[key("orders_outbound_open", stage=stage)] for stage in stages):
        return {}
    return {stage: found[key("orders_outbound_delivered_total", stage=stage)] for stage in stages}


def on(collector: Collector, ratio: float) -> dict[str, str]:
    """Return the settings of a worker that is traced."""
    return {
        "ORDERS_TRACING__ENDPOINT": collector.url,
        "ORDERS_TRACING__SAMPLE_RATIO": str(ratio),
    }


def posts(spans: list[Seen], cause: str) -> list[Seen]:
    """Return the calls that a span of this name is the cause of."""
    (asked,) = (span.id for span in spans if span.name == cause)
    return [span for span in spans if span.name == "POST" and span.parent == asked]


def roots(spans: list[Seen]) -> list[str]:
    """Return the names of those that have no cause among the others."""
    ids = {span.id for span in spans}
    return [span.name for span in spans if span.parent not in ids]


async def test_one_trace_shows_an_order_in_every_stage_and_each_call_to_the_provider(
    quiet: System, collector: Collector, session: aiohttp.ClientSession
) -> None:
    """Whichever process a stage runs in, and on to who is told outside."""
    (paid, declined) = await bought(quiet, on(collector, 1), session, "tok_flaky", "tok_declined")
    assert (paid["status"], declined["status"]) == ("COMPLETED", "CANCELLED")
    (trace,) = {span.trace for span in collector.of_order(paid["order_id"])}
    spans = [span for span in collector.spans if span.trace == trace]
    names = [span.name for span in spans]
    assert roots(spans) == ["POST /orders"]
    for name in (
        "orders ORDER_CREATED",
        "inventory INVENTORY_REQUESTED",
        "orders INVENTORY_DEDUCTED",
        "payments PAYMENT_REQUESTED",
        "payments ask",
        "payments Charged",
        "orders PAYMENT_COMPLETED",
        "inventory INVENTORY_SALE_REQUESTED",
        "analytics ANALYTICS_EVENTS",
        "notifications NOTIFICATION_EVENTS",
        "notifications ask",
        "notifications Delivered",
        "transfer ORDER_COMPLETED",
        "transfer ask",
        "transfer Delivered",
    ):
        assert names.count(name) == 1, name
    assert {name.split()[0] for name in names} == {*STAGES, "POST", "GET"}
    charges, (told,) = posts(spans, "payments ask"), posts(spans, "transfer ask")
    assert [span.failed for span in charges] == [True, True, False]
    assert not told.failed
    (transfer,) = await Warehouse(session, quiet.provider_url).told(paid["order_id"])
    _, given, parent, flags = transfer["traceparent"].split("-")
    assert (given, parent, int(flags, 16) & SAMPLED) == (trace, told.id, SAMPLED)
    others = {span.trace for span in collector.of_order(declined["order_id"])}
    assert len(others) == 1
    assert trace not in others


async def test_a_span_says_which_order_and_step_it_is_about_and_never_whose(collector: Collector) -> None:
    handled = next(span for span in collector.spans if span.name == "orders ORDER_CREATED")
    assert handled.events == tuple(STEPS)
    assert handled.attributes["messaging.destination.name"] == "ORDER_CREATED"
    assert handled.attributes["messaging.batch.message_count"] >= 1
    assert handled.attributes["order.id"]
    assert handled.resource["service.name"] == group_of(HALVES[0].split(","))
    for secret in (CUSTOMER, "tok_flaky", "tok_declined"):
        assert secret.encode() not in collector.raw


async def test_with_a_ratio_of_0_nothing_is_sent_but_what_its_caller_traces(
    quiet: System, collector: Collector, session: aiohttp.ClientSession
) -> None:
    before = collector.requests
    await bought(quiet, on(collector, 0), session, "tok_ok")
    assert collector.requests == before
    async with aiohttp.ClientSession(headers={"traceparent": TRACEPARENT}) as caller:
        (traced,) = await bought(quiet, on(collector, 0), caller, "tok_ok")
    spans = collector.of_order(traced["order_id"])
    assert {span.trace for span in spans} == {TRACEPARENT.split("-")[1]}
    assert {"POST /orders", "orders PAYMENT_COMPLETED"} <= {span.name for span in spans}


async def test_a_collector_that_is_away_holds_up_nobody(
    quiet: System, session: aiohttp.ClientSession
) -> None:
    away = {
        "ORDERS_TRACING__ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "ORDERS_TRACING__SAMPLE_RATIO": "1",
    }
    (settled,) = await bought(quiet, away, session, "tok_ok")
    assert settled["status"] == "COMPLETED"


@pytest.fixture
def absent(tmp_path: Path) -> dict[str, str]:
    """Have a process find no OpenTelemetry, and end if it imports it unasked."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text(ABSENT)
    return {"PYTHONPATH": str(tmp_path)}


async def test_where_tracing_is_off_nothing_of_opentelemetry_is_imported(
    quiet: System, absent: dict[str, str], session: aiohttp.ClientSession
) -> None:
    (settled,) = await bought(quiet, absent, session, "tok_ok")
    assert settled["status"] == "COMPLETED"


async def test_a_worker_that_is_to_trace_and_can_not_says_what_is_missing(
    quiet: System, absent: dict[str, str], collector: Collector
) -> None:
    worker = quiet.start_worker(free_port(), {**absent, **on(collector, 1)})
    assert await asyncio.to_thread(worker.wait) == 1
    assert "install the extra `tracing`" in worker.last_lines()
