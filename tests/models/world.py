"""A small closed world: the real saga, stock keeper and payment, joined by logs, and all that goes wrong.

Each topic is one log for each key. A stage takes a batch of what is unread in the logs of one key, in any
interleaving of the topics, and makes it last in the order of delivery: rows, counters (or the one value),
messages, offset. It may die between any two of these.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TypeVar, cast, get_args

from msgspec import structs

from models import payment, saga, stock
from models.commands import RequestInventory, RequestPayment, RequestPaymentRefund
from models.deadlines import Overdue
from models.events import (
    AnalyticsEvent,
    InventoryReleased,
    NotificationEvent,
    OrderCancelled,
    OrderCompleted,
    OrderRefunded,
    PaymentCompleted,
)
from models.messages import Message
from models.order import Order, OrderStatus
from models.stock import SKEW, HoldStatus, StockMessage, holder_of
from tests.models.scenario import START, Shelf, run_keeper, run_payment, run_saga, say

State = TypeVar("State")
Log = tuple[str, str]

ORDERS_HEAR = tuple(kind.type for kind in get_args(saga.OrderEvent))
STOCK_HEARS = tuple(kind.type for kind in get_args(StockMessage))
PAYMENTS_HEAR = (RequestPayment.type, RequestPaymentRefund.type)

TAKEN_BACK = {OrderStatus.REFUNDING, OrderStatus.REFUNDED}

INSTANT = timedelta(milliseconds=1)
ENOUGH = 10_000
"""More batches than any small world needs: past it, something talks to itself for ever."""


class Death(Enum):
    """Name the step of delivery before which a stage dies."""

    NEVER = auto()
    BEFORE_ALL = auto()
    BETWEEN_ROWS = auto()
    BEFORE_MESSAGES = auto()
    BETWEEN_MESSAGES = auto()


@dataclass(frozen=True)
class Fate:
    """Be what happens in one batch: whose turn each time, where it dies, and after how many."""

    turns: Sequence[int]
    death: Death = Death.NEVER
    cut: int = 0
    tidy: bool = True


class World:
    """Hold the logs, the states of the three stages, and the money at the provider.

    `spread` is how far apart the clocks of the brokers are. A mark in the stock is forgotten on the
    assumption that a request is recorded no later than SKEW after its order left PENDING, by any of the
    brokers' clocks; so `patience`, what is left of SKEW, is how late a repeat of a request may be appended.
    """

    def __init__(self, spread: timedelta = timedelta()) -> None:
        self.now = START
        self.spread = spread
        self.patience = SKEW - spread
        self.logs: defaultdict[Log, list[Message]] = defaultdict(list)
        self.read: defaultdict[Log, int] = defaultdict(int)
        self.orders: dict[str, Order] = {}
        self.shelves: dict[str, Shelf] = {}
        self.payments: dict[str, payment.Payment] = {}
        self.approved: dict[str, bool] = {}
        self.refund_failures: Counter[str] = Counter()
        self.charged: set[str] = set()
        self.refunded: set[str] = set()
        self.left_pending: dict[str, datetime] = {}
        self.payloads: dict[str, Message] = {}

    def copy(self) -> "World":
        """Return a world that goes its own way from here."""
        twin = World(self.spread)
        twin.now, twin.patience = self.now, self.patience
        twin.logs.update({log: [*records] for log, records in self.logs.items()})
        twin.charged, twin.refunded = {*self.charged}, {*self.refunded}
        for name in (
            "read",
            "orders",
            "shelves",
            "payments",
            "approved",
            "refund_failures",
            "left_pending",
            "payloads",
        ):
            getattr(twin, name).update(getattr(self, name))
        return twin

    # What comes from outside

    def append(self, message: Message) -> None:
        """Take the message into its log, at the time of that log's broker."""
        self.now += INSTANT
        log = (message.type, message.key)
        ahead = self.spread if hash_of(log) % 2 else timedelta()
        self.logs[log].append(structs.replace(message, recorded_at=self.now + ahead))

    def time_out(self, order_id: str) -> None:
        """Let the timer find the order overdue, as it stands."""
        order = self.orders.get(order_id)
        if order is not None:
            found = Overdue(order_id=order_id, entered_by=order.entered_by, at=order.entered_at)
            for message in run_saga(order, found)[1]:
                self.append(message)

    def repeat(self, log: Log, index: int) -> None:
        """Append a record of the log once more, as a producer does that did not hear the broker's answer."""
        message = self.logs[log][index % len(self.logs[log])]
        if isinstance(message, RequestInventory):
            left = self.left_pending.get(message.order_id)
            if left is not None and self.now + INSTANT > left + self.patience:
                return  # by assumption no request is recorded so late: see models/stock.py
        self.append(message)

    def rewind(self, log: Log, by: int) -> None:
        """Have a suffix of the log delivered again, as after a rebalance."""
        self.read[log] = max(0, self.read[log] - by)

    # The stages

    def run_orders(self, order_id: str, fate: Fate) -> None:
        """Let the orders agent take one batch about one order."""
        inputs, positions = self._take(ORDERS_HEAR, order_id, fate)
        before = order = self.orders.get(order_id)
        said: list[Message] = []
        for event in inputs:
            order, messages = run_saga(order, cast("saga.OrderEvent", event))
            said += messages
        if fate.death in {Death.BEFORE_ALL, Death.BETWEEN_ROWS} or order is None:
            self._commit(positions, done=fate.death is Death.NEVER)
            return
        if before is not None and before.settled:
            way_back = before.status is OrderStatus.COMPLETED and order.status in TAKEN_BACK
            assert order.status is before.status or way_back, f"{before.status} became {order.status}"
        self.orders[order_id] = order
        if order.status is not OrderStatus.PENDING:
            self.left_pending.setdefault(order_id, self.now)
        self._deliver(said, positions, fate)

    def run_stock(self, sku: str, fate: Fate) -> None:
        """Let the inventory agent take one batch about one SKU."""
        inputs, positions = self._take(STOCK_HEARS, sku, fate)
        before = shelf = self.shelves.get(sku, Shelf())
        said: list[Message] = []
        rows: list[stock.Hold] = []
        for message in cast("list[StockMessage]", inputs):
            shelf, answers = run_keeper(shelf, message)
            if (row := shelf.holds.get(holder_of(message))) is not None:
                rows.append(row)
            said += answers
        if fate.death is Death.BEFORE_ALL:
            return
        if fate.death is Death.BETWEEN_ROWS:  # some rows lasted, the counters did not
            kept = {**before.holds, **{row.holder: row for row in rows[: fate.cut]}}
            self.shelves[sku] = Shelf(before.item, kept).recovered()
            return
        self.shelves[sku] = shelf.tidied() if fate.tidy else shelf
        self._deliver(said, positions, fate)

    def run_payments(self, order_id: str, fate: Fate) -> None:
        """Let the payments agent take one batch about one order."""
        inputs, positions = self._take(PAYMENTS_HEAR, order_id, fate)
        paying = self.payments.get(order_id)
        said: list[Message] = []
        for event in inputs:
            paying, messages = run_payment(paying, cast("payment.PaymentInput", event))
            said += messages
        if fate.death in {Death.BEFORE_ALL, Death.BETWEEN_ROWS} or paying is None:
            self._commit(positions, done=fate.death is Death.NEVER)
            return
        self.payments[order_id] = paying
        self._deliver(said, positions, fate)

    def call_provider(self, order_id: str, fate: Fate) -> None:
        """Let the payments agent ask the provider, and take in the answer with what else there is about it.

        The answer is in no log: who takes over from an agent that died reminds the payment of it.
        """
        paying = self.payments.get(order_id)
        if paying is None or not paying.open:
            return
        inputs, positions = self._take(PAYMENTS_HEAR, order_id, fate)
        said: list[Message] = []
        after: payment.Payment | None = paying
        for event in (self._answer(order_id, paying), *cast("list[payment.PaymentInput]", inputs)):
            after, messages = run_payment(after, event)
            said += messages
        assert after is not None
        if fate.death in {Death.BEFORE_ALL, Death.BETWEEN_ROWS}:
            return
        self.payments[order_id] = after
        self._deliver(said, positions, fate)
        if fate.death is not Death.NEVER:
            _, again = run_payment(after, payment.Reminder(order_id=order_id))
            self._deliver(again, {}, replace(fate, death=Death.NEVER))

    def unread(self) -> list[Log]:
        """Return the logs in which there is something to read."""
        return [log for log, records in self.logs.items() if self.read[log] < len(records)]

    def drain(self) -> None:
        """Let every stage take in all there is, until all is quiet."""
        for _ in range(ENOUGH):
            waiting = next(iter(self.unread()), None)
            opened = next((key for key, each in self.payments.items() if each.open), None)
            if waiting is not None:
                self.stage_of(waiting[0])(waiting[1], Fate(turns=range(100)))
            elif opened is not None:
                self.call_provider(opened, Fate(turns=()))
            else:
                return
        raise AssertionError(f"no end after {ENOUGH} batches")

    def stage_of(self, wire_name: str) -> Callable[[str, Fate], None]:
        """Return the stage that listens to these messages."""
        if wire_name in ORDERS_HEAR:
            return self.run_orders
        if wire_name in STOCK_HEARS:
            return self.run_stock
        return self.run_payments if wire_name in PAYMENTS_HEAR else self._hear

    # What must hold

    def check_always(self) -> None:
        """Assert what holds at every moment."""
        for shelf in self.shelves.values():
            available, reserved, sold, restocked = shelf.counts
            assert min(shelf.counts) >= 0, f"negative: {shelf.item}"
            assert restocked == available + reserved + sold, f"not conserved: {shelf.item}"
            held = [hold for hold in shelf.holds.values() if hold.status is HoldStatus.RESERVED]
            assert reserved == sum(hold.quantity for hold in held), f"rows and counters differ: {shelf}"
        assert self.refunded <= self.charged

    def check_quiet(self) -> None:
        """Assert what holds once everything has been said and heard, without any timer's help."""
        unsettled = [f"{key} {order.status}" for key, order in self.orders.items() if not order.settled]
        assert not unsettled, f"not settled: {unsettled}"
        completed = {key for key, order in self.orders.items() if order.status is OrderStatus.COMPLETED}
        assert self.charged - self.refunded == completed, "charged is not completed"
        told = {key for (name, key), said in self.logs.items() if said and name == PaymentCompleted.type}
        assert self.charged <= told, "charged, and nobody was told"
        for sku, shelf in self.shelves.items():
            lines = (line for key in completed for line in self.orders[key].lines if line.sku == sku)
            assert shelf.counts[1] == 0, f"still reserved: {shelf}"
            assert shelf.counts[2] == sum(line.quantity for line in lines), f"sold is not completed: {shelf}"
            self._check_bounded(shelf)
        for key, order in self.orders.items():
            self._check_told(key, order.status)

    # Helpers

    def _take(self, hear: Iterable[str], key: str, fate: Fate) -> tuple[list[Message], dict[Log, int]]:
        positions = {(wire_name, key): self.read[wire_name, key] for wire_name in hear}
        taken = []
        for turn in fate.turns:
            unread = [log for log, position in positions.items() if position < len(self.logs[log])]
            if not unread:
                break
            log = unread[turn % len(unread)]
            taken.append(self.logs[log][positions[log]])
            positions[log] += 1
        return taken, positions

    def _deliver(self, said: Sequence[Message], positions: dict[Log, int], fate: Fate) -> None:
        if fate.death is Death.BEFORE_MESSAGES:
            return
        for message in said[: fate.cut] if fate.death is Death.BETWEEN_MESSAGES else said:
            known = self.payloads.setdefault(message.event_id, message)
            assert same(known, message), f"one id, two payloads:\n  {known}\n  {message}"
            self.append(message)
        self._commit(positions, done=fate.death is Death.NEVER)

    def _commit(self, positions: dict[Log, int], *, done: bool) -> None:
        if done:
            self.read.update(positions)

    def _answer(self, order_id: str, paying: payment.Payment) -> payment.Answer | payment.RefundDelayed:
        self.now += INSTANT
        if paying.status is payment.PaymentStatus.REFUNDING and self.refund_failures[order_id] > 0:
            self.refund_failures[order_id] -= 1
            return payment.RefundDelayed(order_id=order_id, at=self.now)
        if paying.status is payment.PaymentStatus.REFUNDING:
            self.refunded.add(order_id)
            return payment.Refunded(order_id=order_id, reference="re", at=self.now)
        if self.approved.get(order_id, True):
            self.charged.add(order_id)
            return payment.Charged(order_id=order_id, reference="ch", at=self.now)
        return payment.Declined(order_id=order_id, reference="no funds", at=self.now)

    def _hear(self, key: str, _: Fate) -> None:
        """Be whoever listens at the end: the customer, the statistics, the external system."""
        heard = {*ORDERS_HEAR, *STOCK_HEARS, *PAYMENTS_HEAR}
        self.read.update({log: len(records) for log, records in self.logs.items() if log[0] not in heard})
        assert key

    def _check_told(self, key: str, status: OrderStatus) -> None:
        """Assert that each end was announced once, and a refund besides the sale that it takes back."""
        ends = [
            {message.event_id for message in self.logs[kind.type, key]}
            for kind in (OrderCompleted, OrderCancelled, OrderRefunded)
        ]
        expected = {
            OrderStatus.COMPLETED: [1, 0, 0],
            OrderStatus.CANCELLED: [0, 1, 0],
            OrderStatus.REFUNDED: [1, 0, 1],
        }
        assert list(map(len, ends)) == expected[status], f"{key}, {status}, was announced as {ends}"
        for kind in (NotificationEvent, AnalyticsEvent):
            told = {message.event_id for message in self.logs[kind.type, key]}
            assert len(told) == sum(map(len, ends)), f"{key}, {status}, was told as {told}"

    def _check_bounded(self, shelf: Shelf) -> None:
        if shelf.item is not None:
            later = structs.replace(shelf.item, requests_read_at=self.now + timedelta(hours=1))
            rows = Shelf(later, shelf.holds).tidied().holds.values()
            stay = {HoldStatus.RESTOCKED, HoldStatus.RETURNED}
            assert {row.status for row in rows} <= stay, "rows that are never forgotten"

    def tell(self) -> str:
        """Return all the logs, as sentences."""
        return "\n".join(
            f"{log}: {[say(message) for message in logged]}" for log, logged in self.logs.items()
        )


def same(one: Message, other: Message) -> bool:
    """Tell whether two messages of one id say the same.

    A release that is repeated after its mark was forgotten is answered anew, and so dated anew.
    """
    if isinstance(one, InventoryReleased):
        other = structs.replace(other, occurred_at=one.occurred_at, causation_id=one.causation_id)
    return one == other


def hash_of(log: Log) -> int:
    """Return a number for the log that is the same in every run."""
    return sum(map(ord, "".join(log)))
