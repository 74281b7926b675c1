"""Delayed refunds: the first failure of each is told, once, and every failure is still one."""

import pytest

from app.delays import Delays
from app.gateway import GatewayRefused, PaymentUnknown
from models.payment import Payment, PaymentStatus, RefundDelayed, Refunded
from tests.app.test_calls import LONG_AGO, payment

FAULTS = (PaymentUnknown("503"), GatewayRefused("422"))


class Desk:
    """Be refunds that end as the script says, and what was told of them."""

    def __init__(self) -> None:
        self.script: list[Exception] = []
        self.told: list[RefundDelayed] = []
        self.delays = Delays(self._refund, self.told.append)

    async def _refund(self, about: Payment) -> Refunded:
        if self.script:
            raise self.script.pop(0)
        return Refunded(order_id=about.order_id, reference="re", at=LONG_AGO)

    async def fail(self, order_id: str, fault: Exception) -> None:
        self.script.append(fault)
        with pytest.raises(type(fault)):
            await self.delays.refund(payment(order_id, PaymentStatus.REFUNDING))

    async def succeed(self, order_id: str) -> None:
        await self.delays.refund(payment(order_id, PaymentStatus.REFUNDING))


async def test_a_refund_that_succeeds_at_once_is_not_told() -> None:
    desk = Desk()
    await desk.succeed("order-1")
    assert desk.told == []


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_the_first_failure_of_a_refund_is_told_and_no_other(fault: Exception) -> None:
    desk = Desk()
    for order_id in ("order-1", "order-2", "order-1", "order-1"):
        await desk.fail(order_id, fault)
    assert [news.order_id for news in desk.told] == ["order-1", "order-2"]


async def test_after_a_move_of_partitions_a_failure_is_told_anew() -> None:
    desk = Desk()
    await desk.fail("order-1", FAULTS[0])
    desk.delays.forget()
    await desk.fail("order-1", FAULTS[0])
    assert len(desk.told) == 2


async def test_nothing_is_kept_of_a_refund_that_is_made() -> None:
    desk = Desk()
    await desk.fail("order-1", FAULTS[0])
    await desk.succeed("order-1")
    await desk.fail("order-1", FAULTS[0])
    assert len(desk.told) == 2
