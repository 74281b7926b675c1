"""What customers and the warehouse have heard: one an order and kind, or it is said what differs."""

from collections import Counter

import pytest

from app.demo.outside import Heard, check_notifications, check_transfers, notified
from tests.app.demo.orders import outcome

OUTCOMES = [outcome(1), outcome(2, "CANCELLED"), outcome(3)]
NOTIFIED = Counter({("order-1", "COMPLETED"): 1, ("order-2", "CANCELLED"): 1, ("order-3", "COMPLETED"): 1})
TRANSFERRED = Counter({("order-1", "ORDER_COMPLETED"): 1, ("order-3", "ORDER_COMPLETED"): 1})


def heard(notifications: dict[tuple[str, str], int] | None = None) -> Heard:
    return Heard(NOTIFIED | Counter(notifications or {}), TRANSFERRED, refused=0)


def test_one_notification_an_end_is_as_it_should_be() -> None:
    finding = check_notifications(heard(), OUTCOMES)
    assert finding.is_kept
    assert finding.kept == "3 notifications delivered, one for each order that has ended"


def test_what_an_earlier_demo_told_does_not_count() -> None:
    assert check_notifications(heard({("order-0", "COMPLETED"): 2}), OUTCOMES).is_kept


@pytest.mark.parametrize(
    ("told", "difference"),
    [
        (("order-1", "COMPLETED", 0), "order order-1: COMPLETED 0 times, expected 1"),
        (("order-1", "COMPLETED", 2), "order order-1: COMPLETED 2 times, expected 1"),
        (("order-1", "CANCELLED", 1), "order order-1: CANCELLED 1 times, expected 0"),
    ],
)
def test_a_notification_that_is_missing_comes_twice_or_is_another_is_named(
    told: tuple[str, str, int], difference: str
) -> None:
    order_id, kind, count = told
    notifications = Counter({**NOTIFIED, (order_id, kind): count})
    finding = check_notifications(Heard(notifications, TRANSFERRED, 0), OUTCOMES)
    assert finding.differences == (difference,)
    assert finding.broken == f"{notifications.total()} notifications delivered, and 3 orders ended"


def test_one_transfer_a_sale_is_as_it_should_be() -> None:
    finding = check_transfers(heard(), OUTCOMES)
    assert finding.is_kept
    assert finding.kept == "2 transfers received with valid signatures, one for each completed order"


@pytest.mark.parametrize(
    ("transfers", "difference"),
    [
        ({("order-3", "ORDER_COMPLETED"): 0}, "order order-3: ORDER_COMPLETED 0 times, expected 1"),
        ({("order-3", "ORDER_COMPLETED"): 2}, "order order-3: ORDER_COMPLETED 2 times, expected 1"),
        ({("order-2", "ORDER_COMPLETED"): 1}, "order order-2: ORDER_COMPLETED 1 times, expected 0"),
        ({("order-1", "ORDER_REFUNDED"): 1}, "order order-1: ORDER_REFUNDED 1 times, expected 0"),
    ],
)
def test_a_transfer_that_is_missing_comes_twice_or_is_of_no_sale_is_named(
    transfers: dict[tuple[str, str], int], difference: str
) -> None:
    finding = check_transfers(Heard(NOTIFIED, Counter({**TRANSFERRED, **transfers}), 0), OUTCOMES)
    assert finding.differences == (difference,)


def test_a_wrong_signature_is_told_though_all_has_come() -> None:
    finding = check_transfers(Heard(NOTIFIED, TRANSFERRED, refused=1), OUTCOMES)
    assert finding.differences == ("1 refused for their signatures",)


def test_the_log_is_read_as_text_and_as_json() -> None:
    said = "order one-1: its customer is told that it is COMPLETED"
    log = f'2026-11-23 INFO app.outbound.channels: {said}\n{{"event": "{said}"}}\norder 2: no\n'
    assert notified(log) == {("one-1", "COMPLETED"): 2}
