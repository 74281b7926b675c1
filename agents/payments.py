"""Payments: each payment's one writer, which calls the provider once the intent is safe."""

from functools import partial

from app import metrics, providers
from app.calls import Backoff, Calls, Naming, Pace
from app.delays import Delays
from app.delivery.batches import Batches
from app.gateway import HttpGateway
from app.main import app, delivery
from app.partitions import partition_of
from app.settings import current
from app.tracing.following import followed
from models import commands
from models.payment import Answer, Payment, PaymentStatus, RefundDelayed, Reminder, evolve, respond
from tables.payments import find_open, find_untold, load_payment, save_payment, state

gateway = HttpGateway(current().payment, providers.payment)


def tell_delay(news: RefundDelayed) -> None:
    """Have the payment take in that its refund was asked for in vain."""
    delivery.answer("payments", partition_of(news.order_id.encode(), current().partitions), news)


delays = Delays(gateway.refund, tell_delay)


async def ask(payment: Payment) -> Answer:
    """Ask the provider for what the payment's intent calls for."""
    if payment.status is PaymentStatus.REFUNDING:
        return await delays.refund(payment)
    return await gateway.charge(payment)


pace = Pace(
    current().payment.max_in_flight,
    unclear=Backoff(current().payment.backoff_ms, current().payment.backoff_max_ms),
    put_off=Backoff(current().payment.refused_backoff_ms, current().payment.refused_backoff_max_ms),
)
naming = Naming[Payment](
    key=lambda payment: f"{payment.status} {payment.order_id}",  # its hash is quicker than a pair's
    text=lambda payment: f"payment of order {payment.order_id}",
)
calls = Calls(
    followed("payments", ask), partial(delivery.answer, "payments"), pace, providers.payment, naming
)
metrics.PAYMENTS_OPEN.set_function(lambda: calls.in_flight)


@delivery.stage(commands.RequestPayment, commands.RequestPaymentRefund, room=calls.room)
async def payments(batches: Batches) -> None:
    """Record the intent, call the provider, record the answer, and say what came of it."""
    async for batch in batches:
        async for partition, event in batch:
            before = load_payment(batch, partition, event.order_id)
            after = evolve(before, event)
            if after is None:
                continue
            save_payment(batch, partition, after)
            batch.send(*respond(after, event))
            if after.open:
                batch.after_commit(partial(calls.start, partition, after))


@state.on_recovered
def take_up() -> None:
    """Go on where an earlier owner stopped: ask by key what became of open intents; say what may be unsaid.

    The provider may have done what it was asked, and have forgotten by now that a second request is a repeat.
    """
    for partition, payment in find_open():
        gateway.doubt(payment)
        calls.start(partition, payment)
    for partition, order_id in find_untold():
        delivery.answer("payments", partition, Reminder(order_id=order_id))


@app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]  # Faust is untyped here
async def drop_calls(*_: object, **__: object) -> None:
    """Let go of the calls under way: the partitions' next owner makes them again, with the same keys."""
    await calls.cancel()
    delays.forget()
    gateway.forget()
