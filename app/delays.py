"""Refunds that the provider does not make: the first failure of each goes back into the stream, once.

The call itself goes on, for as long as the intent is open: see `app.calls`.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from app.gateway import GatewayRefused, PaymentUnknown
from models.payment import Payment, RefundDelayed, Refunded


class Delays:
    """Tell of each refund that has failed, the first time that this worker sees it fail."""

    def __init__(
        self, refund: Callable[[Payment], Awaitable[Refunded]], tell: Callable[[RefundDelayed], None]
    ) -> None:
        self._refund = refund
        self._tell = tell
        self._told: set[str] = set()

    async def refund(self, payment: Payment) -> Refunded:
        """Make the refund.

        Raises:
            PaymentUnknown: no clear answer; call again later.
            GatewayRefused: calling again will not help.
        """
        try:
            answer = await self._refund(payment)
        except (PaymentUnknown, GatewayRefused):
            if payment.order_id not in self._told:
                self._told.add(payment.order_id)
                self._tell(RefundDelayed(order_id=payment.order_id, at=datetime.now(UTC)))
            raise
        self._told.discard(payment.order_id)
        return answer

    def forget(self) -> None:
        """Begin anew: what was told may have been dropped with the partitions that it was about."""
        self._told.clear()
