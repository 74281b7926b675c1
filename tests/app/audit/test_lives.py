"""Whatever the pure model goes through, the audit finds nothing; and what is then tampered with, it finds."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.audit.facts import Fact, Limits
from models.commands import RequestInventorySale
from models.events import InventoryReleased, InventoryRestocked, InventoryReturned
from models.messages import Message
from tests.app.audit.histories import AnyFact, audit, changed, facts_of, live, order_of
from tests.models.test_saga_machine import Life

HARMLESS = {"INVENTORY_RESTOCKED", "ORDER_CANCEL_REQUESTED", "ORDER_TIMED_OUT", "INVENTORY_INSUFFICIENT"}
HARMLESS |= {"INVENTORY_REQUESTED", "INVENTORY_DEDUCTED", "ORDER_REFUND_REQUESTED", "PAYMENT_REFUND_DELAYED"}
HARMLESS |= {"PAYMENT_REQUESTED", "PAYMENT_REFUND_REQUESTED", "INVENTORY_RELEASE_REQUESTED"}
"""What may be missing without a trace, where nothing came of it or there was enough of everything anyway.

A charge is asked for in vain that was called back before, and called back in vain that is under way. What is
late for an order that was cancelled is asked to be released again, which may have been done already.
"""

seeds = st.integers(0, 2**32)
DAY = timedelta(days=1)


def lived(seed: int, steps: int) -> tuple[Life, list[AnyFact], Limits]:
    """Return a life that has come to rest, what was said in it, and the limits for its audit."""
    life = Life(seed)
    live(life, steps)
    life.world.drain()
    limits = Limits(now=life.world.now + 2 * DAY, deadline=DAY, skew=life.world.spread)
    return life, facts_of(life.world), limits


@settings(deadline=None, max_examples=60)
@given(seed=seeds)
def test_a_history_of_the_model_audits_clean_and_its_counters_are_the_keepers(seed: int) -> None:
    life, facts, limits = lived(seed, steps=150)
    found = audit(facts, limits)
    assert not found.offences
    for sku, shelf in life.world.shelves.items():
        counters = found.stock[sku].counters if sku in found.stock else None
        if counters is not None:
            derived = (counters.available, counters.reserved, counters.sold, counters.restocked)
            assert derived == shelf.counts
        else:
            assert not any(shelf.counts)


@settings(deadline=None, max_examples=60)
@given(seed=seeds)
def test_a_timer_may_name_the_event_by_which_an_order_came_to_where_it_waits(seed: int) -> None:
    _, facts, limits = lived(seed, steps=100)
    placed = {
        order_of(fact.message): fact.message.event_id
        for fact in facts
        if fact.message.type == "ORDER_CREATED"
    }
    named = changed(
        facts,
        "ORDER_TIMED_OUT",
        lambda fact: Fact(replace(fact.message, causation_id=placed[order_of(fact.message)]), fact.place),
    )
    assert not audit(named, limits).offences


@settings(deadline=None, max_examples=60)
@given(seed=seeds)
def test_a_history_that_is_cut_short_anywhere_has_no_offence_before_its_deadline(seed: int) -> None:
    life = Life(seed)
    live(life, 100)
    limits = Limits(now=life.world.now, deadline=DAY, skew=life.world.spread)
    assert not audit(facts_of(life.world), limits).offences


def is_undone(message: Message, returned: set[str]) -> bool:
    """Tell whether this is a sale that was taken back: a crash may have kept it from being asked for."""
    return isinstance(message, RequestInventorySale) and message.order_id in returned


@settings(deadline=None, max_examples=60)
@given(seed=seeds, pick=st.integers(0, 2**16))
def test_an_event_that_is_dropped_is_missed(seed: int, pick: int) -> None:
    _, facts, limits = lived(seed, steps=60)
    causes = {fact.message.causation_id for fact in facts}
    returned = {order_of(fact.message) for fact in facts if isinstance(fact.message, InventoryReturned)}
    candidates = sorted(
        {
            fact.message.event_id
            for fact in facts
            if fact.message.event_id in causes
            or not (fact.message.type in HARMLESS or is_undone(fact.message, returned))
        }
    )
    if candidates:
        dropped = candidates[pick % len(candidates)]
        kept = [fact for fact in facts if fact.message.event_id != dropped]
        assert audit(kept, limits).offences


@settings(deadline=None, max_examples=60)
@given(seed=seeds, pick=st.integers(0, 2**16))
def test_an_event_that_is_told_again_in_other_words_is_found(seed: int, pick: int) -> None:
    life, facts, limits = lived(seed, steps=60)
    if facts:
        fact = facts[pick % len(facts)]
        message = replace(fact.message, recorded_at=life.world.now + timedelta(seconds=1))
        if isinstance(message, InventoryReleased | InventoryRestocked):
            message = replace(message, quantity=message.quantity + 1)
        else:
            message = replace(message, occurred_at=message.occurred_at + timedelta(seconds=1))
        forged = Fact(message, fact.place._replace(offset=10_000))
        assert audit([*facts, forged], limits).offences


@pytest.mark.parametrize("seed", range(10))
def test_what_the_keeper_sold_beyond_its_stock_is_found(seed: int) -> None:
    """Take units out of a restock that was sold out."""
    draw = Random(seed)  # noqa: S311  # a test's own chance
    life, facts, limits = lived(draw.getrandbits(32), steps=150)
    sold_out = [sku for sku, shelf in life.world.shelves.items() if shelf.counts[2] and not shelf.counts[0]]
    for sku in sold_out:
        told = next(
            f
            for f in facts
            if f.message.type == "INVENTORY_RESTOCKED" and getattr(f.message, "sku", "") == sku
        )
        kept = [fact for fact in facts if fact.message.event_id != told.message.event_id]
        assert audit(kept, limits).offences
