"""What one order costs in pure Python: `python -m bench.models_cpu [--orders N] [--rounds N] [--skus N]`.

With `--batch N --pause-ms N` inputs come in small batches, and there is nothing to do between two of them, as
where orders trickle in: the caches are cold by then, and so may the processor be.

One-line orders go from ORDER_CREATED to their end through the very functions that a worker calls to
decode, load, decide, save and encode. What surrounds them is left out: a dict stands for RocksDB, lists
stand for Kafka, and the payment provider has always just said yes. Printed is CPU time by part; each
figure is the median of some rounds. Where others share the machine, they empty its caches, and the same
work takes up to twice the CPU: then the quickest round says more.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder, decode, encode
from app.delivery.state import State
from models import payment, saga, stock
from models.events import InventoryRestocked, OrderCreated, OrderLine
from models.messages import Message, derive_id
from tables.inventory import load_stock, save_stock
from tables.orders import load_order, save_order
from tables.payments import load_payment, save_payment

START_MS = 1_700_000_000_000
BATCH = 100
"""How many inputs are taken at a time, unless said otherwise."""

TURNS = 500_000

PARTS = ("decode", "load", "evolve", "save", "decide", "encode")

T = TypeVar("T")

Costs = dict[tuple[str, str], float]


class Record(NamedTuple):
    """Be a message as Kafka would carry it."""

    topic: str
    key: bytes
    value: bytes


class Memory(Batch):
    """Be a batch whose rows are simply there."""

    def __init__(self) -> None:
        super().__init__(())
        self.stored: dict[tuple[str, bytes], bytes | None] = {}
        self.now: dict[tuple[str, bytes], bytes | None] = {}

    def read(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return the value under the key."""
        del partition
        return self.stored.get((state.name, key))

    def written(self, state: State, partition: int, key: bytes) -> bytes | None:
        """Return what was written since the last commit."""
        del partition
        return self.now.get((state.name, key))

    def write(
        self, state: State, partition: int, key: bytes, value: bytes | None, *, place: Place = Place.IN_TURN
    ) -> None:
        """Write a row."""
        del partition, place
        self.now[state.name, key] = self.stored[state.name, key] = value

    def save(  # noqa: PLR0913  # the signature of a batch's
        self, state: State, partition: int, key: bytes, value: T, coder: Coder[T], *, place: Place
    ) -> None:
        """Write a row, and not remember its value: it would be a later batch that loads it."""
        self.write(state, partition, key, coder.encode(value), place=place)


class Rhythm(NamedTuple):
    """Say how many inputs are taken at a time, and for how long there is nothing to do before."""

    batch: int = BATCH
    pause_s: float = 0.0


AT_ONCE = Rhythm()


class World:
    """Hold the rows, the records that wait in each topic, and what has been spent on what."""

    def __init__(self, rhythm: Rhythm = AT_ONCE) -> None:
        self.rhythm = rhythm
        self.rows = Memory()
        self.waiting: defaultdict[str, list[Record]] = defaultdict(list)
        self.costs: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.clock_ms = START_MS

    @contextmanager
    def cost(self, about: str, part: str) -> Iterator[None]:
        """Charge the CPU time of what is inside to the part."""
        start = time.process_time()
        yield
        self.costs[about, part] += time.process_time() - start

    def take(self, topic: str, count: int) -> Iterator[list[Any]]:
        """Yield the messages that wait in the topic, decoded, so many at a time."""
        waiting, self.waiting[topic] = self.waiting[topic], []
        for start in range(0, len(waiting), count):
            self.clock_ms += 1
            self.rows.now.clear()
            self.rows.afterwards.clear()
            if self.rhythm.pause_s:
                time.sleep(self.rhythm.pause_s)
            with self.cost(topic, "decode"):
                messages = [decode(*record, self.clock_ms) for record in waiting[start : start + count]]
            yield messages

    def send(self, about: str, said: list[tuple[Message, ...]]) -> None:
        """Encode messages and put them into their topics."""
        with self.cost(about, "encode"):
            sent = [
                Record(message.type, message.key.encode(), encode(message))
                for messages in said
                for message in messages
            ]
        for record in sent:
            self.waiting[record.topic].append(record)


class Machine(NamedTuple):
    """Be what folds inputs into states of one kind."""

    load: Callable[[Batch, int, str], Any]
    evolve: Callable[[Any, Any], Any]
    save: Callable[[Batch, int, Any, Any], None]
    respond: Callable[[Any, Any, Any], tuple[Message, ...]]


ORDERS = Machine(load_order, saga.evolve, save_order, saga.respond)
PAYMENTS = Machine(
    load_payment,
    payment.evolve,
    lambda batch, partition, _, after: save_payment(batch, partition, after),
    lambda _, after, event: payment.respond(after, event),
)


def run_orders(world: World, topic: str) -> None:
    """Do as the orders agent does, part by part."""
    for events in world.take(topic, world.rhythm.batch):
        _fold(world, topic, ORDERS, events)


def run_inventory(world: World, topic: str, skus: int) -> None:
    """Do as the inventory agent does, part by part; each SKU comes once at a time."""
    rows = world.rows
    for messages in world.take(topic, min(world.rhythm.batch, skus)):
        with world.cost(topic, "load"):
            befores = [load_stock(rows, 0, message) for message in messages]
        with world.cost(topic, "evolve"):
            kept = [stock.keep(*pair) for pair in zip(befores, messages, strict=True)]
        with world.cost(topic, "save"):
            for before, (after, _) in zip(befores, kept, strict=True):
                save_stock(rows, 0, before, after)
        world.send(topic, [answers for _, answers in kept])


def run_payments(world: World, topic: str) -> None:
    """Do as the payments agent does, part by part, with a provider that always says yes."""
    for requests in world.take(topic, world.rhythm.batch):
        _fold(world, topic, PAYMENTS, requests)
        at = datetime.fromtimestamp(world.clock_ms / 1000, UTC)
        answers = [
            payment.Charged(order_id=request.order_id, reference=f"ch_{request.order_id}", at=at)
            for request in requests
        ]
        _fold(world, "(charged)", PAYMENTS, answers)


def _fold(world: World, about: str, machine: Machine, inputs: list[Any]) -> None:
    rows = world.rows
    with world.cost(about, "load"):
        befores = [machine.load(rows, 0, each.order_id) for each in inputs]
    with world.cost(about, "evolve"):
        afters = [machine.evolve(*pair) for pair in zip(befores, inputs, strict=True)]
    with world.cost(about, "save"):
        for before, after in zip(befores, afters, strict=True):
            if after is not None:
                machine.save(rows, 0, before, after)
    with world.cost(about, "decide"):
        said = [machine.respond(*each) for each in zip(befores, afters, inputs, strict=True)]
    world.send(about, said)


def place_orders(world: World, orders: int, skus: int) -> None:
    """Put goods on the shelves and orders into the topic, as HTTP would have; nothing of it is counted."""
    start = datetime.fromtimestamp(START_MS / 1000, UTC)
    for number in range(orders):
        order_id = str(UUID(int=0x018E_0000_0000_7000_8000_0000_0000_0000 + number))
        line = OrderLine(sku=f"sku-{number % skus}", quantity=1, unit_price=4900)
        placed = OrderCreated(
            event_id=derive_id(OrderCreated.type, order_id),
            occurred_at=start.replace(microsecond=number % 1_000_000),
            correlation_id=order_id,
            causation_id=order_id,
            order_id=order_id,
            customer_id=f"customer-{number}",
            currency="EUR",
            lines=(line,),
            total=line.unit_price,
            payment_token="tok_ok",  # noqa: S106  # the simulator's token is no secret
        )
        world.send("(setting up)", [(placed,)])
    for number in range(skus):
        goods = InventoryRestocked(
            event_id=derive_id(InventoryRestocked.type, str(number)),
            occurred_at=start,
            correlation_id="setting-up",
            causation_id="setting-up",
            sku=f"sku-{number}",
            quantity=orders,
        )
        world.send("(setting up)", [(goods,)])
    run_inventory(world, InventoryRestocked.type, skus)
    world.costs.clear()


def run(orders: int, skus: int, rhythm: Rhythm = AT_ONCE) -> Costs:
    """Take so many orders from their beginning to their end; return seconds an order by part."""
    world = World(rhythm)
    place_orders(world, orders, skus)
    run_orders(world, "ORDER_CREATED")
    run_inventory(world, "INVENTORY_REQUESTED", skus)
    run_orders(world, "INVENTORY_DEDUCTED")
    run_payments(world, "PAYMENT_REQUESTED")
    run_orders(world, "PAYMENT_COMPLETED")
    run_inventory(world, "INVENTORY_SALE_REQUESTED", skus)
    assert len(world.waiting["ORDER_COMPLETED"]) == orders, "an order did not come to its end"
    return {part: spent / orders for part, spent in world.costs.items()}


def table(rounds: list[Costs]) -> Iterator[str]:
    """Yield a table of medians in microseconds: an input a row, a part a column, the sums last."""
    parts = (*PARTS, "sum")
    yield f"{'us of CPU an order':26}" + "".join(f"{part:>8}" for part in parts)
    for about in (*dict.fromkeys(about for about, _ in rounds[0]), "sum"):
        cells = (statistics.median(_spent(costs, about, part) for costs in rounds) for part in parts)
        yield f"{about:26}" + "".join(f"{cell * 1e6:8.2f}" for cell in cells)


def _spent(costs: Costs, about: str, part: str) -> float:
    return sum(cost for (a, p), cost in costs.items() if about in (a, "sum") and part in (p, "sum"))


def turn_ns() -> float:
    """Return what one turn of an empty loop costs just now: by this, runs at different times compare."""
    start = time.process_time()
    for _ in range(TURNS):
        pass
    return (time.process_time() - start) / TURNS * 1e9


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--orders", type=int, default=2000, help="orders a round")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, after one to warm up")
    parser.add_argument("--skus", type=int, default=100, help="among how many SKUs the orders are spread")
    parser.add_argument("--batch", type=int, default=BATCH, help="inputs taken at a time")
    parser.add_argument("--pause-ms", type=float, default=0, help="nothing to do before each batch")
    given = parser.parse_args()
    rhythm = Rhythm(given.batch, given.pause_ms / 1000)
    run(given.orders, given.skus, rhythm)
    turns, rounds = [], []
    for _ in range(given.rounds):
        turns.append(turn_ns())
        rounds.append(run(given.orders, given.skus, rhythm))
    print("\n".join(table(rounds)))  # noqa: T201  # it is what the program is for
    quickest, turn = min(sum(costs.values()) for costs in rounds) * 1e6, statistics.median(turns)
    print(f"the quickest round: {quickest:.2f}; a turn of an empty loop: {turn:.1f} ns")  # noqa: T201  # as above


if __name__ == "__main__":
    main()
