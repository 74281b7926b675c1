from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from app.delivery.batch import Batch
from models.payment import Payment, PaymentStatus
from tables.payments import coder, count_delayed_refunds, find_open, find_untold, save_payment

AT = datetime(2026, 1, 1, tzinfo=UTC)


def payment(order_id: str, status: PaymentStatus) -> Payment:
    return Payment(
        order_id=order_id,
        amount=1,
        currency="EUR",
        payment_token="tok_ok",
        correlation_id="c",
        causation_id="c",
        settled_at=AT,
        status=status,
    )


def test_what_a_batch_has_to_say_is_found_again_whatever_the_orders_are_called(monkeypatch: Any) -> None:
    names = ["plain", "two\nlines", "\u2028", 'a "quoted" one', ""]
    batch = Batch(())
    for name in names:
        save_payment(batch, 0, payment(name, PaymentStatus.COMPLETED))
        save_payment(batch, 0, payment(f"open {name}", PaymentStatus.CHARGING))
    (records,) = batch.rows().values()
    rows = {record["key"]: record["value"] for record in records}
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    monkeypatch.setattr("app.delivery.state.State.get", lambda _, __, key: rows.get(key))
    assert list(find_untold()) == [(0, name) for name in names]
    assert records[0]["key"] == b"untold"


def test_a_batch_that_has_nothing_to_say_leaves_no_list(monkeypatch: Any) -> None:
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    monkeypatch.setattr("app.delivery.state.State.get", lambda *_: None)
    batch = Batch(())
    save_payment(batch, 0, payment("open", PaymentStatus.CHARGING))
    (records,) = batch.rows().values()
    assert [record["key"] for record in records] == [b"payment/open", b"open/open"]
    assert list(find_untold()) == []


def test_open_payments_are_found_again_and_those_that_were_answered_are_not(monkeypatch: Any) -> None:
    batch = Batch(())
    for name in ("answered", "open", "refunding"):
        save_payment(batch, 0, payment(name, PaymentStatus.CHARGING))
    save_payment(batch, 0, payment("answered", PaymentStatus.COMPLETED))
    save_payment(batch, 0, payment("refunding", PaymentStatus.REFUNDING))
    (records,) = batch.rows().values()
    rows = {record["key"]: record["value"] for record in records if record["value"] is not None}
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    monkeypatch.setattr("app.delivery.state.State.get", lambda _, __, key: rows.get(key))
    monkeypatch.setattr(
        "app.delivery.state.State.scan",
        lambda _, __, prefix: iter([row for row in rows.items() if row[0].startswith(prefix)]),
    )
    assert [(found.order_id, found.status) for _, found in find_open()] == [
        ("open", PaymentStatus.CHARGING),
        ("refunding", PaymentStatus.REFUNDING),
    ]


@pytest.mark.parametrize("first", [PaymentStatus.CHARGING, PaymentStatus.COMPLETED])
def test_whatever_a_crash_keeps_of_a_batch_no_open_payment_is_lost(
    first: PaymentStatus,
) -> None:
    """A payment is open in the rows that a crash keeps, or its row says what became of it."""
    batch = Batch(())
    save_payment(batch, 0, payment("one", first))
    save_payment(batch, 0, payment("one", PaymentStatus.COMPLETED))
    (records,) = batch.rows().values()
    kept = {b"payment/one": coder.encode(payment("one", PaymentStatus.CHARGING)), b"open/one": b""}
    for record in records:
        kept[record["key"]] = record["value"]
        assert kept[b"open/one"] is not None or not coder.decode(kept[b"payment/one"]).open


def test_refunds_that_were_asked_for_in_vain_are_counted_until_they_are_made(monkeypatch: Any) -> None:
    batch = Batch(())
    refunding = payment("under way", PaymentStatus.REFUNDING)
    delayed = [replace(payment(name, PaymentStatus.REFUNDING), delayed_since=AT) for name in ("one", "two")]
    made = replace(payment("made", PaymentStatus.REFUNDED), delayed_since=AT)
    for each in (refunding, *delayed, made, payment("charging", PaymentStatus.CHARGING)):
        save_payment(batch, 0, each)
    (records,) = batch.rows().values()
    rows = {record["key"]: record["value"] for record in records if record["value"] is not None}
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset({0}))
    monkeypatch.setattr("app.delivery.state.State.get", lambda _, __, key: rows.get(key))
    monkeypatch.setattr(
        "app.delivery.state.State.scan",
        lambda _, __, prefix: [row for row in rows.items() if row[0].startswith(prefix)],
    )
    assert count_delayed_refunds() == 2
