"""Sentences about the domain: given what came before, when this comes, then that is said.

`saga`, `keeper` and `payments` are three such grammars. Their outcomes compare what was said as short
lines of text (`INVENTORY_REQUESTED A x2`), so that a failure reads as a list of sentences.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, Self, TypeVar

from models import commands, deadlines, events, payment, saga, stock
from models.messages import AboutStock, Envelope, Message, derive_id
from models.order import Order, OrderStatus

State = TypeVar("State")
Input = TypeVar("Input")
Reaction = tuple[State, tuple[Message, ...]]

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = "order-1"
TOKEN = "tok-visa"  # a made-up payment token


def moment(seconds: float) -> datetime:
    """Return the time so many seconds after the tests' own beginning of time."""
    return START + timedelta(seconds=seconds)


def say(message: Message) -> str:
    """Return the message in a few words: its wire name, and what tells it from others of its type."""
    words = [message.type]
    if isinstance(message, AboutStock | events.InventoryDeducted | events.InventoryInsufficient):
        words.append(f"{message.sku} x{getattr(message, 'quantity', '?')}")
    elif isinstance(message, events.InventoryReleased | events.InventoryReturned):
        words.append(f"{message.sku} x{message.quantity}")
    elif isinstance(message, events.NotificationEvent | events.AnalyticsEvent):
        words.append(message.status)
    elif isinstance(message, commands.RequestPayment | commands.RequestPaymentRefund):
        words.append(f"{message.amount} {message.currency}")
    if reason := getattr(message, "reason", None):
        words.append(str(reason))
    return " ".join(words)


@dataclass(frozen=True)
class Outcome(Generic[State]):
    """Be what became of one input: the state before and after, and what was said."""

    before: State
    after: State
    messages: tuple[Message, ...]

    def then(self, *expected: str) -> Self:
        """Expect exactly these sentences, in this order."""
        said = tuple(say(message) for message in self.messages)
        assert said == expected, self._report(expected)
        return self

    def then_nothing_happened(self) -> Self:
        """Expect no change and no word."""
        assert not self.messages, self._report(())
        return self.and_nothing_changed()

    def and_nothing_changed(self) -> Self:
        """Expect the state to be as before."""
        assert self.after == self.before, f"changed\n  from {self.before}\n  to   {self.after}"
        return self

    def and_in(self, status: object, reason: object = None) -> Self:
        """Expect the status, and the reason where the state has one."""
        seen = (getattr(self.after, "status", None), getattr(self.after, "reason", None))
        assert seen == (status, reason), f"expected {status} {reason}, stands at {seen[0]} {seen[1]}"
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of what was said."""
        return tuple(message.event_id for message in self.messages)

    def _report(self, expected: tuple[str, ...]) -> str:
        lines = ["expected:", *(f"  {line}" for line in expected or ("nothing",)), "said:"]
        lines += [f"  {say(message)}" for message in self.messages] or ["  nothing"]
        return "\n".join([*lines, f"state: {self.after}"])


@dataclass(frozen=True)
class Scenario(Generic[State, Input]):
    """Be a story so far: how the thing reacts, its state, and all it has said."""

    react: Callable[[State, Input], Reaction[State]]
    state: State
    said: tuple[Message, ...] = ()

    def given(self, *inputs: Input) -> Self:
        """Return the story after these inputs."""
        story = self
        for each in inputs:
            after, messages = story.react(story.state, each)
            story = replace(story, state=after, said=(*story.said, *messages))
        return story

    def when(self, each: Input) -> Outcome[State]:
        """Return what comes of one more input."""
        after, messages = self.react(self.state, each)
        return Outcome(self.state, after, messages)


def run_saga(order: Order | None, event: saga.OrderInput) -> Reaction[Order | None]:
    """React as the orders agent does."""
    after = saga.evolve(order, event)
    return after, saga.respond(order, after, event)


def run_payment(
    before: payment.Payment | None, event: payment.PaymentInput
) -> Reaction[payment.Payment | None]:
    """React as the payments agent does."""
    after = payment.evolve(before, event)
    return after, () if after is None else payment.respond(after, event)


@dataclass(frozen=True)
class Shelf:
    """Be all there is about one SKU: its counters, and its rows by holder."""

    item: stock.StockItem | None = None
    holds: Mapping[str, stock.Hold] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Return available, reserved, sold and restocked."""
        item = self.item or stock.StockItem(sku="")
        return item.available, item.reserved, item.sold, item.restocked

    def recovered(self) -> "Shelf":
        """Return the shelf as its table finds it on start: with the newest copy of the counters there is.

        A crash may have kept rows and lost the counters. `keep` looks at one row at a time, so this has to
        come before any input: see the tests of crashes in test_stock.py.
        """
        newest = stock.newest_counters(self.holds.values())
        known = (item for item in (self.item, *newest.values()) if item is not None)
        return replace(self, item=max(known, key=lambda item: item.sequence, default=None))

    def tidied(self) -> "Shelf":
        """Return the shelf without the marks that can be forgotten."""
        item = self.item
        if item is None:
            return self
        kept = {
            holder: hold
            for holder, hold in self.holds.items()
            if not stock.is_forgettable(hold.status, hold.at, item)
        }
        return replace(self, holds=kept)


def run_keeper(shelf: Shelf, message: stock.StockMessage) -> Reaction[Shelf]:
    """React as the inventory agent does, without forgetting."""
    holder = stock.holder_of(message)
    after, answers = stock.keep(stock.Stock(item=shelf.item, hold=shelf.holds.get(holder)), message)
    rows = shelf.holds if after.hold is None else {**shelf.holds, holder: after.hold}
    return Shelf(after.item, rows), answers


def run_tidy_keeper(shelf: Shelf, message: stock.StockMessage) -> Reaction[Shelf]:
    """React as the inventory agent does, forgetting as soon as it may."""
    after, answers = run_keeper(shelf, message)
    return after.tidied(), answers


class Grammar(Generic[State, Input]):
    """Begin stories of one kind."""

    def __init__(self, react: Callable[[State, Input], Reaction[State]], start: State) -> None:
        self._blank = Scenario(react, start)

    def given(self, *inputs: Input) -> Scenario[State, Input]:
        """Return the story after these inputs; of none, the blank one."""
        return self._blank.given(*inputs)


orders: Grammar[Order | None, saga.OrderInput] = Grammar(run_saga, None)
payments: Grammar[payment.Payment | None, payment.PaymentInput] = Grammar(run_payment, None)
keeper: Grammar[Shelf, stock.StockMessage] = Grammar(run_keeper, Shelf())
tidy_keeper: Grammar[Shelf, stock.StockMessage] = Grammar(run_tidy_keeper, Shelf())


def envelope(at: float, wire_name: str, *parts: str) -> Envelope:
    """Return an envelope whose id follows from what it is about, and whose time is `at` seconds."""
    return {
        "event_id": derive_id(wire_name, *parts),
        "occurred_at": moment(at),
        "correlation_id": f"correlation-{parts[0]}",
        "causation_id": "test",
    }


def created(*lines: tuple[str, int], order: str = ORDER, at: float = 0) -> events.OrderCreated:
    """Return a new order; of no lines, one piece of A; everything costs 10.00 EUR."""
    chosen = tuple(
        events.OrderLine(sku=sku, quantity=quantity, unit_price=1000)
        for sku, quantity in lines or (("A", 1),)
    )
    return events.OrderCreated(
        **envelope(at, "ORDER_CREATED", order),
        recorded_at=moment(at),
        order_id=order,
        customer_id="customer-1",
        currency="EUR",
        lines=chosen,
        total=sum(line.quantity * line.unit_price for line in chosen),
        payment_token=TOKEN,
    )


def deducted(
    sku: str = "A", quantity: int = 1, *, order: str = ORDER, at: float = 1
) -> events.InventoryDeducted:
    """Return the news that a line is reserved."""
    return events.InventoryDeducted(
        **envelope(at, "INVENTORY_DEDUCTED", order, sku),
        recorded_at=moment(at),
        order_id=order,
        sku=sku,
        quantity=quantity,
    )


def insufficient(
    sku: str = "A", quantity: int = 1, *, order: str = ORDER, at: float = 1
) -> events.InventoryInsufficient:
    """Return the news that there is too little for a line."""
    return events.InventoryInsufficient(
        **envelope(at, "INVENTORY_INSUFFICIENT", order, sku, str(at)),
        recorded_at=moment(at),
        order_id=order,
        sku=sku,
        quantity=quantity,
    )


def released(
    sku: str = "A", quantity: int = 1, *, order: str = ORDER, at: float = 4
) -> events.InventoryReleased:
    """Return the news that a line holds nothing any more."""
    return events.InventoryReleased(
        **envelope(at, "INVENTORY_RELEASED", order, sku),
        recorded_at=moment(at),
        order_id=order,
        sku=sku,
        quantity=quantity,
    )


def returned(
    sku: str = "A", quantity: int = 1, *, order: str = ORDER, at: float = 8
) -> events.InventoryReturned:
    """Return the news that a line of a completed order is back."""
    return events.InventoryReturned(
        **envelope(at, "INVENTORY_RETURNED", order, sku),
        recorded_at=moment(at),
        order_id=order,
        sku=sku,
        quantity=quantity,
    )


def paid(amount: int = 1000, *, order: str = ORDER, at: float = 2) -> events.PaymentCompleted:
    """Return the news that the customer was charged."""
    return events.PaymentCompleted(
        **envelope(at, "PAYMENT_COMPLETED", order),
        recorded_at=moment(at),
        order_id=order,
        amount=amount,
        currency="EUR",
        charge_id="ch-1",
    )


def declined(*, order: str = ORDER, at: float = 2) -> events.PaymentFailed:
    """Return the news that the provider declined."""
    return events.PaymentFailed(
        **envelope(at, "PAYMENT_FAILED", order),
        recorded_at=moment(at),
        order_id=order,
        reason="insufficient funds",
    )


def refunded(amount: int = 1000, *, order: str = ORDER, at: float = 5) -> events.PaymentRefunded:
    """Return the news that the charge was given back."""
    return events.PaymentRefunded(
        **envelope(at, "PAYMENT_REFUNDED", order),
        recorded_at=moment(at),
        order_id=order,
        amount=amount,
        currency="EUR",
        refund_id="re-1",
    )


def refund_delayed(*, order: str = ORDER, at: float = 4.5) -> events.PaymentRefundDelayed:
    """Return the news that the charge is not given back so far."""
    return events.PaymentRefundDelayed(
        **envelope(at, "PAYMENT_REFUND_DELAYED", order), recorded_at=moment(at), order_id=order
    )


def cancel_requested(*, order: str = ORDER, at: float = 3) -> events.OrderCancelRequested:
    """Return the customer's wish to cancel."""
    return events.OrderCancelRequested(
        **envelope(at, "ORDER_CANCEL_REQUESTED", order, str(at)), recorded_at=moment(at), order_id=order
    )


def refund_requested(*, order: str = ORDER, at: float = 7) -> events.OrderRefundRequested:
    """Return the customer's wish to have a completed order taken back."""
    return events.OrderRefundRequested(
        **envelope(at, "ORDER_REFUND_REQUESTED", order, str(at)), recorded_at=moment(at), order_id=order
    )


def timed_out(
    entered: saga.OrderEvent | None = None, *, order: str = ORDER, at: float = 3
) -> events.OrderTimedOut:
    """Return the timer's word that the order waited too long where the event led it; of none, when new."""
    entered_by = (entered or created(order=order)).event_id
    return events.OrderTimedOut(
        **envelope(at, "ORDER_TIMED_OUT", order, entered_by),
        recorded_at=moment(at),
        order_id=order,
        entered_by=entered_by,
    )


def overdue(entered: saga.OrderEvent, *, order: str = ORDER, at: float = 99) -> deadlines.Overdue:
    """Return the timer's finding that the order waits for too long where the event led it."""
    return deadlines.Overdue(order_id=order, entered_by=entered.event_id, at=moment(at))


def restock(
    quantity: int = 10, *, sku: str = "A", name: str = "delivery-1", at: float = 0
) -> events.InventoryRestocked:
    """Return a delivery of goods; the same name, the same delivery."""
    return events.InventoryRestocked(
        **envelope(at, "INVENTORY_RESTOCKED", sku, name), recorded_at=moment(at), sku=sku, quantity=quantity
    )


def ask(quantity: int = 1, *, order: str = ORDER, sku: str = "A", at: float = 1) -> commands.RequestInventory:
    """Return an order's request of a SKU."""
    return commands.RequestInventory(
        **envelope(0, "INVENTORY_REQUESTED", order, sku),
        recorded_at=moment(at),
        sku=sku,
        order_id=order,
        quantity=quantity,
    )


def give_back(
    quantity: int = 1, *, order: str = ORDER, sku: str = "A", at: float = 2
) -> commands.RequestInventoryRelease:
    """Return an order's request to have its line released."""
    return commands.RequestInventoryRelease(
        **envelope(0, "INVENTORY_RELEASE_REQUESTED", order, sku),
        recorded_at=moment(at),
        sku=sku,
        order_id=order,
        quantity=quantity,
    )


def sell(
    quantity: int = 1, *, order: str = ORDER, sku: str = "A", at: float = 2
) -> commands.RequestInventorySale:
    """Return an order's request to have its line counted as sold."""
    return commands.RequestInventorySale(
        **envelope(0, "INVENTORY_SALE_REQUESTED", order, sku),
        recorded_at=moment(at),
        sku=sku,
        order_id=order,
        quantity=quantity,
    )


def take_back(
    quantity: int = 1, *, order: str = ORDER, sku: str = "A", at: float = 3
) -> commands.RequestInventoryReturn:
    """Return an order's request to have its sold line taken back."""
    return commands.RequestInventoryReturn(
        **envelope(0, "INVENTORY_RETURN_REQUESTED", order, sku),
        recorded_at=moment(at),
        sku=sku,
        order_id=order,
        quantity=quantity,
    )


def charge(amount: int = 1000, *, order: str = ORDER, at: float = 1) -> commands.RequestPayment:
    """Return the request to charge an order's total."""
    return commands.RequestPayment(
        **envelope(0, "PAYMENT_REQUESTED", order),
        recorded_at=moment(at),
        order_id=order,
        amount=amount,
        currency="EUR",
        payment_token=TOKEN,
    )


def refund(amount: int = 1000, *, order: str = ORDER, at: float = 3) -> commands.RequestPaymentRefund:
    """Return the request to give a charge back."""
    return commands.RequestPaymentRefund(
        **envelope(0, "PAYMENT_REFUND_REQUESTED", order),
        recorded_at=moment(at),
        order_id=order,
        amount=amount,
        currency="EUR",
    )


def status_of(order: Order | None) -> OrderStatus:
    """Return the status of an order that there must be."""
    assert order is not None, "there is no such order"
    return order.status
