from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from models.order import OrderStatus
from models.stock import SKEW
from tests.models.scenario import cancel_requested, created, refund_requested, restock
from tests.models.world import Death, Fate, World

ORDERS = ("one", "two", "three")
SKUS = ("A", "B")

fates = st.builds(
    Fate,
    turns=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    death=st.sampled_from([Death.NEVER, Death.NEVER, Death.NEVER, *Death]),
    cut=st.integers(0, 4),
    tidy=st.booleans(),
)
order_ids = st.sampled_from(ORDERS)
skus = st.sampled_from(SKUS)
baskets = st.dictionaries(skus, st.integers(1, 3), min_size=1)


class Orders(RuleBasedStateMachine):
    """Let anything happen in a small world, then let it come to rest."""

    @initialize(spread=st.sampled_from([timedelta(), SKEW / 2, SKEW]))
    def begin(self, spread: timedelta) -> None:
        self.world = World(spread)
        self.deliveries = 0
        self.world.append(restock(4, name="first"))
        self.world.drain()

    @rule(order_id=order_ids, basket=baskets, approved=st.booleans(), failures=st.integers(0, 2))
    def place(self, order_id: str, basket: dict[str, int], approved: bool, failures: int) -> None:  # noqa: FBT001
        if not self.world.logs["ORDER_CREATED", order_id]:
            self.world.approved[order_id] = approved
            self.world.refund_failures[order_id] = failures
            order = created(*basket.items(), order=order_id)
            self.world.append(replace(order, occurred_at=self.world.now, event_id=order_id))

    @rule(sku=skus, quantity=st.integers(1, 5))
    def restock(self, sku: str, quantity: int) -> None:
        self.deliveries += 1
        self.world.append(restock(quantity, sku=sku, name=str(self.deliveries)))

    @rule(order_id=order_ids)
    def ask_to_cancel(self, order_id: str) -> None:
        self.world.append(cancel_requested(order=order_id))

    @rule(order_id=order_ids)
    def ask_for_a_refund(self, order_id: str) -> None:
        self.world.append(refund_requested(order=order_id))

    @rule(order_id=order_ids)
    def time_out(self, order_id: str) -> None:
        self.world.time_out(order_id)

    @rule(order_id=order_ids, fate=fates)
    def run_orders(self, order_id: str, fate: Fate) -> None:
        self.world.run_orders(order_id, fate)

    @rule(sku=skus, fate=fates)
    def run_stock(self, sku: str, fate: Fate) -> None:
        self.world.run_stock(sku, fate)

    @rule(order_id=order_ids, fate=fates)
    def run_payments(self, order_id: str, fate: Fate) -> None:
        self.world.run_payments(order_id, fate)

    @rule(order_id=order_ids, fate=fates)
    def call_provider(self, order_id: str, fate: Fate) -> None:
        self.world.call_provider(order_id, fate)

    @precondition(lambda self: any(self.world.logs.values()))
    @rule(data=st.data(), index=st.integers(0, 9))
    def repeat(self, data: st.DataObject, index: int) -> None:
        logs = [log for log, records in self.world.logs.items() if records]
        self.world.repeat(data.draw(st.sampled_from(logs)), index)

    @precondition(lambda self: any(self.world.read.values()))
    @rule(data=st.data(), by=st.integers(1, 4))
    def rewind(self, data: st.DataObject, by: int) -> None:
        logs = [log for log, position in self.world.read.items() if position]
        self.world.rewind(data.draw(st.sampled_from(logs)), by)

    @rule(seconds=st.sampled_from([0.1, 1, 6, 60]))
    def wait(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)

    @invariant()
    def the_books_are_right(self) -> None:
        self.world.check_always()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.drain()
            self.world.check_always()
            self.world.check_quiet()


TestOrders = Orders.TestCase
TestOrders.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


class Life:
    """Be one long life of a world: hundreds of steps drawn from one seed, with work where there is some."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)  # noqa: S311  # a test's own chance
        self.world = World(self.draw.choice([timedelta(), SKEW / 2, SKEW]))
        self.steps: dict[Callable[[], None], int] = {
            self.place: 5,
            self.restock: 3,
            self.call_off: 2,
            self.want_back: 3,
            self.work: 30,
            self.call_provider: 5,
            self.repeat: 5,
            self.rewind: 4,
            self.wait: 4,
        }

    def live(self, steps: int) -> None:
        """Take so many steps."""
        for step in self.draw.choices(list(self.steps), weights=list(self.steps.values()), k=steps):
            step()
            self.world.check_always()

    def place(self) -> None:
        basket = {sku: self.draw.randint(1, 2) for sku in self.draw.sample(SKUS, self.draw.randint(1, 2))}
        order_id = f"order-{len(self.world.approved)}"
        self.world.approved[order_id] = self.draw.random() < 0.7
        self.world.refund_failures[order_id] = self.draw.choice([0, 0, 1, 3])
        order = created(*basket.items(), order=order_id)
        self.world.append(replace(order, occurred_at=self.world.now))

    def restock(self) -> None:
        name = str(self.draw.getrandbits(64))
        self.world.append(restock(self.draw.randint(1, 3), sku=self.draw.choice(SKUS), name=name))

    def call_off(self) -> None:
        for order_id in self.draw.sample(list(self.world.approved), min(1, len(self.world.approved))):
            if self.draw.random() < 0.5:
                self.world.time_out(order_id)
            else:
                self.world.append(cancel_requested(order=order_id))

    def want_back(self) -> None:
        sold = [key for key, order in self.world.orders.items() if order.status is OrderStatus.COMPLETED]
        for order_id in self.draw.sample(sold, min(1, len(sold))):
            self.world.append(refund_requested(order=order_id))

    def work(self) -> None:
        if waiting := self.world.unread():
            wire_name, key = self.draw.choice(waiting)
            self.world.stage_of(wire_name)(key, self.fate())

    def call_provider(self) -> None:
        if opened := [key for key, payment in self.world.payments.items() if payment.open]:
            self.world.call_provider(self.draw.choice(opened), self.fate())

    def repeat(self) -> None:
        if logs := [log for log, records in self.world.logs.items() if records]:
            self.world.repeat(self.draw.choice(logs), self.draw.randint(0, 9))

    def rewind(self) -> None:
        if logs := [log for log, position in self.world.read.items() if position]:
            self.world.rewind(self.draw.choice(logs), self.draw.randint(1, 6))

    def wait(self) -> None:
        self.world.now += timedelta(seconds=self.draw.choice([0.1, 1, 6, 9, 60]))

    def fate(self) -> Fate:
        death = self.draw.choice(list(Death)) if self.draw.random() < 0.4 else Death.NEVER
        turns = [self.draw.randint(0, 3) for _ in range(self.draw.randint(1, 6))]
        return Fate(turns, death, cut=self.draw.randint(0, 4), tidy=self.draw.random() < 0.8)


@pytest.mark.parametrize("seed", range(120))
def test_however_a_long_life_goes_it_comes_to_a_good_end(seed: int) -> None:
    life = Life(seed)
    for _ in range(3):
        life.live(steps=100)
        quiet(life.world)


def quiet(world: World) -> World:
    world.drain()
    world.check_always()
    world.check_quiet()
    return world


def test_a_world_in_which_nothing_goes_wrong_sells() -> None:
    world = World()
    world.append(restock(3))
    world.append(created(("A", 3), order="one"))
    assert quiet(world).orders["one"].status is OrderStatus.COMPLETED


@pytest.mark.parametrize("death", list(Death))
@pytest.mark.parametrize("stage", ["orders", "stock", "payments", "provider"])
def test_a_stage_that_dies_once_at_any_step_still_sells(stage: str, death: Death) -> None:
    world = World()
    for sku in SKUS:
        world.append(restock(3, sku=sku))
    world.drain()
    world.append(created(("A", 1), ("B", 1), order="one"))
    fate = Fate(turns=range(9), death=death, cut=1)
    well = Fate(turns=range(9))
    for _ in range(4):
        world.run_orders("one", fate if stage == "orders" else well)
        for sku in SKUS:
            world.run_stock(sku, fate if stage == "stock" else well)
        world.run_payments("one", fate if stage == "payments" else well)
        world.call_provider("one", fate if stage == "provider" else well)
    assert quiet(world).orders["one"].status is OrderStatus.COMPLETED


@pytest.mark.parametrize("death", list(Death))
@pytest.mark.parametrize("stage", ["orders", "stock", "payments", "provider"])
@pytest.mark.parametrize("pause", [timedelta(), timedelta(days=30)], ids=["at once", "a month later"])
def test_a_stage_that_dies_once_at_any_step_still_takes_a_sale_back(
    stage: str, death: Death, pause: timedelta
) -> None:
    world = World()
    for sku in SKUS:
        world.append(restock(3, sku=sku))
    world.append(created(("A", 1), ("B", 2), order="one"))
    world.drain()
    world.now += pause
    world.append(created(("A", 1), ("B", 1), order="two"))
    world.drain()
    world.append(refund_requested(order="one"))
    fate = Fate(turns=range(9), death=death, cut=1)
    well = Fate(turns=range(9))
    for _ in range(4):
        world.run_orders("one", fate if stage == "orders" else well)
        for sku in SKUS:
            world.run_stock(sku, fate if stage == "stock" else well)
        world.run_payments("one", fate if stage == "payments" else well)
        world.call_provider("one", fate if stage == "provider" else well)
    assert quiet(world).orders["one"].status is OrderStatus.REFUNDED
    assert [world.shelves[sku].counts for sku in SKUS] == [(2, 0, 1, 3), (2, 0, 1, 3)]


def test_a_flash_sale_sells_out_and_no_more() -> None:
    world = World()
    world.append(restock(10))
    for number in range(50):
        world.append(created(("A", 1), order=f"order-{number}"))
    statuses = [order.status for order in quiet(world).orders.values()]
    assert statuses.count(OrderStatus.COMPLETED) == 10
    assert statuses.count(OrderStatus.CANCELLED) == 40
