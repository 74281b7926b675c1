"""Order after order and SKU after SKU out of the scratch store: made anew, counted, and handed on."""

from collections.abc import Callable, Iterator

from app.partitions import partition_of
from app.rebuild.cases import HolderCase, OrderCase, order_cases, sku_cases
from app.rebuild.comparing import (
    HOLD,
    ITEM,
    ORDER,
    PAYMENT,
    compare_hold,
    compare_item,
    compare_order,
    compare_payment,
    live_item,
)
from app.rebuild.layout import (
    HOLD_ROW,
    ITEM_ROW,
    ORDERS_OPEN,
    PAYMENTS_OPEN,
    PAYMENTS_ROW,
    Tag,
)
from app.rebuild.outcome import Outcome
from app.rebuild.plan import Plan
from app.scratch import Scratch
from models.rebuild import orders, payments, stock
from models.stock import StockItem, is_forgettable

Rows = Iterator[tuple[bytes, bytes]]
WAITS = b"1"


class Folding:
    """Make anew what lies in one store; `tick` is called with each case, and may raise to stop the work.

    `put` is given the rows that are to be written, each with its partition.
    """

    def __init__(
        self,
        plan: Plan,
        scratch: Scratch,
        outcome: Outcome,
        tick: Callable[[int], None],
        put: Callable[[int, bytes, bytes], None],
    ) -> None:
        self._plan = plan
        self._scratch = scratch
        self._outcome = outcome
        self._tick = tick
        self._put = put
        self._compares = bool(plan.live)
        self._remember = plan.remember_restocks

    def fold(self) -> None:
        """Make anew all that was asked for."""
        plan = self._plan
        if plan.write != "inventory" and plan.sku is None:
            only = None if plan.order_id is None else plan.order_id.encode()
            for case in order_cases(self._scratch, only):
                self._fold_order(case)
        if plan.write in (None, "inventory") and plan.order_id is None:
            only = None if plan.sku is None else plan.sku.encode()
            for sku, cases in sku_cases(self._scratch, only):
                self._fold_sku(sku, cases)

    # Orders and payments

    def _fold_order(self, case: OrderCase) -> None:
        outcome = self._outcome
        self._tick(len(case.events) + len(case.said))
        outcome.unreadable += case.unreadable
        order = orders.rebuild(case.events, case.said)
        payment = payments.rebuild(case.wishes, case.news)
        name = case.order_id.decode(errors="replace")
        if order.order is not None:
            outcome.orders[order.order.status] += 1
            outcome.grounds[order.ground.name] += 1
        if payment.payment is not None:
            outcome.payments[payment.payment.status] += 1
        if order.ground is orders.Ground.UNEXPLAINED and Tag.ORDER_IN_FLIGHT not in case.rows:
            outcome.differs("orders", name, "explanation", orders.Ground.UNEXPLAINED.value, "")
        if not payment.explained and Tag.PAYMENT_IN_FLIGHT not in case.rows:
            outcome.differs("payments", name, "explanation", orders.Ground.UNEXPLAINED.value, "")
        if self._compares:
            compare_order(case, order, outcome)
            compare_payment(case, payment, outcome)
        if self._plan.order_id is not None:
            outcome.shown += [each for each in (order.order, payment.payment) if each is not None]
        for key, value in _order_rows(self._plan.write, order, payment):
            self._put(partition_of(case.order_id, self._plan.settings.partitions), key, value)

    # Stock

    def _fold_sku(self, sku: bytes, cases: Iterator[HolderCase]) -> None:
        tally, live, in_flight = stock.Tally(sku.decode(errors="replace")), None, False
        for case in cases:
            self._tick(len(case.asked) + 1)
            if not case.holder:
                live, in_flight = live_item(case), Tag.STOCK_IN_FLIGHT in case.rows
                continue
            if (line := case.line) is not None:
                tally.add(line)
            if self._compares and not in_flight:
                compare_hold(case, line, live, self._remember, self._outcome)
        item = tally.item
        self._outcome.count_stock(item)
        if self._compares and in_flight:
            self._outcome.left_out["SKUs"] += 1
        elif self._compares:
            compare_item(item, live, self._outcome)
        if self._plan.write == "inventory":
            for key, value in self._stock_rows(sku, item):
                self._put(partition_of(sku, self._plan.settings.partitions), key, value)

    def _stock_rows(self, sku: bytes, item: StockItem) -> Rows:
        """Yield a SKU's rows that are not forgotten yet, each with the counters as they are in the end."""
        for _, cases in sku_cases(self._scratch, sku):
            for case in cases:
                line = case.line if case.holder else None
                hold = None if line is None else line.hold
                if hold and not is_forgettable(hold.status, hold.at, item, self._remember):
                    key = HOLD_ROW + sku + b"/" + case.holder
                    yield key, HOLD.encode(stock.with_counters(hold, item))
        yield ITEM_ROW + sku, ITEM.encode(item)


def _order_rows(table: str | None, order: orders.Rebuilt, payment: payments.Rebuilt) -> Rows:
    if table == "orders" and order.order is not None:
        name = order.order.order_id.encode()
        if not order.order.settled:
            yield ORDERS_OPEN + name, WAITS
        yield name, ORDER.encode(order.order)
    elif table == "payments" and payment.payment is not None:
        name = payment.payment.order_id.encode()
        yield PAYMENTS_ROW + name, PAYMENT.encode(payment.payment)
        if payment.payment.open:
            yield PAYMENTS_OPEN + name, WAITS
