"""Customers are told what happened not long ago, in the words of the templates."""

from datetime import timedelta

import pytest

from agents import notifications
from app.outbound.carrying import Shipment
from app.outbound.channels import Notice
from models.notification import label
from models.outbound import offer
from tests.models.scenario import moment
from tests.models.test_outbound import notice


def test_what_happened_more_than_a_day_ago_is_not_told() -> None:
    assert notifications.not_before(moment(0)) == moment(0) - timedelta(days=1)


async def test_a_customer_is_told_at_the_address_that_the_settings_make_of_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Notice] = []

    async def channel(told_now: Notice) -> None:
        told.append(told_now)

    monkeypatch.setattr(notifications, "channel", channel)
    event = notice("CANCELLED", "PAYMENT_DECLINED")
    await notifications.carry(Shipment(event.order_id, offer(event, 0, label(event), moment(9))))
    (said,) = told
    assert said.to == "ada@customers.example"
    assert said.text.subject == "Your order order-1 was cancelled"
    assert "payment declined" in said.text.text
