"""Histories for the auditor: what a small world has said, as facts, and all rules on them at once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from app.audit.facts import Fact, Limits, Place, content
from app.audit.judge import Verdict, judge_order, judge_restock
from app.audit.offences import Kind, Offence
from app.audit.stock import Movement, StockVerdict, check_stock
from models.events import InventoryRestocked
from models.messages import AboutOrder, AboutStock, Message
from tests.models.scenario import (
    ORDER,
    cancel_requested,
    created,
    moment,
    refund_requested,
    restock,
)
from tests.models.test_saga_machine import Life
from tests.models.world import Fate, World

DEADLINE = timedelta(days=1)
LATER = Limits(now=moment(3 * 86_400), deadline=DEADLINE)
"""When all that was waited for must be there."""

AnyFact = Fact[Message]


@dataclass(frozen=True)
class Found:
    """Be what the rules have to say of some facts."""

    orders: dict[str, Verdict]
    stock: dict[str, StockVerdict]
    offences: tuple[Offence, ...]

    @property
    def kinds(self) -> set[Kind]:
        """Return every kind of offence that was found."""
        return {offence.kind for offence in self.offences}


def facts_of(world: World) -> list[AnyFact]:
    """Return every record of every log."""
    return [
        Fact(message, Place(wire_name, 0, offset))
        for (wire_name, _), records in world.logs.items()
        for offset, message in enumerate(records)
    ]


def live(life: Life, steps: int) -> None:
    """Take so many steps, bring what was begun to its end, and have some of what was sold taken back."""
    life.live(steps)
    life.world.drain()
    for _ in range(3):
        life.want_back()
        life.live(10)


def audit(facts: Sequence[AnyFact], limits: Limits = LATER) -> Found:
    """Put the facts before the rules: case by case, then SKU by SKU."""
    orders, restocks = defaultdict[str, list[AnyFact]](list), defaultdict[str, list[AnyFact]](list)
    for fact in first_of_each(facts):
        message = fact.message
        if isinstance(message, InventoryRestocked):
            restocks[message.event_id].append(fact)
        else:
            orders[order_of(message)].append(fact)
    verdicts = {order_id: judge_order(order_id, said, limits) for order_id, said in orders.items()}
    taken_in = [judge_restock(said, limits) for said in restocks.values()]  # type: ignore[arg-type]
    movements = defaultdict[str, list[Movement]](list)
    for verdict in (*verdicts.values(), *taken_in):
        for movement in verdict.movements:
            movements[movement.sku].append(movement)
    judged = {fact.place: fact.judged for fact in facts}
    stock = {
        sku: check_stock(sku, sorted(moved, key=lambda each: each.at), judged.__getitem__)
        for sku, moved in movements.items()
    }
    offences = [offence for each in (*verdicts.values(), *taken_in) for offence in each.offences]
    offences += [offence for each in stock.values() for offence in each.offences]
    return Found(verdicts, stock, tuple(offences))


def first_of_each(facts: Iterable[AnyFact]) -> list[AnyFact]:
    """Leave repeats out, as the scratch store does."""
    kept: dict[tuple[str, Message], AnyFact] = {}
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.place)):
        kept.setdefault((fact.message.event_id, content(fact.message)), fact)
    return list(kept.values())


def order_of(message: Message) -> str:
    """Return the order that a message is about."""
    assert isinstance(message, AboutOrder | AboutStock)
    return str(getattr(message, "order_id"))  # noqa: B009  # every message but a restock has one


def sale(*, restocked: int = 5) -> list[AnyFact]:
    """Return all that is said when one order of two lines goes well."""
    world = World()
    for sku in ("A", "B"):
        world.append(restock(restocked, sku=sku, name=f"delivery of {sku}"))
    world.append(created(("A", 2), ("B", 1)))
    world.drain()
    return facts_of(world)


def decline() -> list[AnyFact]:
    """Return all that is said when an order's payment is declined."""
    world = World()
    world.append(restock(5))
    world.approved[ORDER] = False
    world.append(created(("A", 2)))
    world.drain()
    return facts_of(world)


def refusal() -> list[AnyFact]:
    """Return all that is said when there is too little of one of two lines."""
    world = World()
    world.append(restock(5))
    world.append(created(("A", 2), ("B", 1)))
    world.drain()
    return facts_of(world)


def cancel_paid_late(*, by_timer: bool = False, failures: int = 0) -> list[AnyFact]:
    """Return all that is said when a charge comes after its order was called off, and is given back.

    The customer calls it off, or the timer; the refund fails so often before it is made.
    """
    world = charging()
    world.refund_failures[ORDER] = failures
    if by_timer:
        world.time_out(ORDER)
    else:
        world.append(cancel_requested())
    while world.unread():
        wire_name, key = world.unread()[0]
        world.stage_of(wire_name)(key, Fate(turns=range(9)))
    world.drain()
    return facts_of(world)


def withdrawal() -> list[AnyFact]:
    """Return all that is said when a charge is called back before its request is read."""
    world = reserved()
    world.append(cancel_requested())
    while not world.logs["PAYMENT_REFUND_REQUESTED", ORDER]:
        world.run_orders(ORDER, Fate(turns=range(9)))
    world.run_payments(ORDER, Fate(turns=[1]))
    world.drain()
    return facts_of(world)


def timeout() -> list[AnyFact]:
    """Return all that is said when an order waits too long for its charge."""
    world = charging()
    world.time_out(ORDER)
    world.drain()
    return facts_of(world)


def refund(*, failures: int = 0) -> list[AnyFact]:
    """Return all that is said when a completed order of two lines is taken back; its refund may fail."""
    world = World()
    for sku in ("A", "B"):
        world.append(restock(5, sku=sku, name=f"delivery of {sku}"))
    world.refund_failures[ORDER] = failures
    world.append(created(("A", 2), ("B", 1)))
    world.drain()
    world.append(refund_requested())
    world.drain()
    return facts_of(world)


def reserved() -> World:
    """Return a world in which the request to charge an order is unread."""
    world = World()
    world.append(restock(5))
    world.append(created(("A", 2)))
    while not world.logs["PAYMENT_REQUESTED", ORDER]:
        wire_name, key = world.unread()[0]
        world.stage_of(wire_name)(key, Fate(turns=range(9)))
    return world


def charging() -> World:
    """Return a world in which the provider has still to answer for an order."""
    world = reserved()
    world.run_payments(ORDER, Fate(turns=range(9)))
    return world


def without(facts: Iterable[AnyFact], *wire_names: str) -> list[AnyFact]:
    """Leave out what is of these types."""
    return [fact for fact in facts if fact.message.type not in wire_names]


def changed(facts: Iterable[AnyFact], wire_name: str, change: Callable[[AnyFact], AnyFact]) -> list[AnyFact]:
    """Return the facts with each of one type changed."""
    return [change(fact) if fact.message.type == wire_name else fact for fact in facts]


def plant(facts: Iterable[AnyFact], wire_name: str, *, after_s: float = 0.001, **fields: object) -> AnyFact:
    """Return one more record of a type, like the first there is, with other fields, recorded later."""
    like = next(fact for fact in facts if fact.message.type == wire_name)
    at = like.at + timedelta(seconds=after_s)
    message = replace(like.message, recorded_at=at, **fields)
    return Fact(message, like.place._replace(offset=1_000))
