"""What is offered: when the turn of each order comes, and what is in it; the same for the same seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import orjson

from app.errors import LoadRefused

CUSTOMERS = 10_000
UNIT_PRICE = 1_000
HOT = 1
"""The number of the SKU that a share of the orders goes to."""


class Arrivals(StrEnum):
    """Say how the turns are spaced: evenly, or by chance as customers who don't know each other are."""

    FIXED = "fixed"
    POISSON = "poisson"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Be a load: `rate` orders a second for `seconds`, of `lines` distinct SKUs each.

    With a `hot_share`, that share of the orders has a line of the first SKU, and no other order has.

    Raises:
        LoadRefused: there are fewer SKUs than an order needs.
    """

    rate: float
    seconds: float
    skus: int = 100
    hot_share: float = 0.0
    lines: int = 1
    token: str = "tok_ok"  # noqa: S105  # a token of the simulator is no secret
    arrivals: Arrivals = Arrivals.FIXED
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be drawn: the lines of an order have a SKU each."""
        without_hot = 0.0 < self.hot_share < 1.0
        if self.lines > self.skus - without_hot:
            beside = " besides the hot one" if without_hot else ""
            raise LoadRefused(f"orders of {self.lines} lines need as many SKUs{beside}: raise --skus")

    @property
    def count(self) -> int:
        """Return how many orders there are; where they come by chance, about how many."""
        return max(1, round(self.rate * self.seconds))

    @property
    def sku_names(self) -> tuple[str, ...]:
        """Return the SKUs, the hot one first."""
        return tuple(f"load-sku-{number}" for number in range(HOT, self.skus + 1))


def moments(plan: Plan) -> Iterator[float]:
    """Yield when the turn of each order comes, in seconds after the start."""
    match plan.arrivals:
        case Arrivals.FIXED:
            yield from (number / plan.rate for number in range(plan.count))
        case Arrivals.POISSON:
            chance = random.Random(plan.seed)  # noqa: S311  # no secret
            moment = chance.expovariate(plan.rate)
            while moment < plan.seconds:
                yield moment
                moment += chance.expovariate(plan.rate)


def bodies(plan: Plan) -> Iterator[bytes]:
    """Yield the bodies of the orders, without end."""
    chance = random.Random(plan.seed)  # noqa: S311  # no secret
    # Only the customer and the choice of lines differ: the rest is made once, for an order is to cost little.
    lines = [_line(sku) for sku in plan.sku_names]
    rest = b'],"currency":"EUR","payment":%b}' % orjson.dumps({"token": plan.token})
    while True:
        customer = _draw(chance, 0, CUSTOMERS)
        items = b",".join(_choose(chance, lines, plan))
        yield b'{"customer_id":"load-customer-%d","items":[%b%b' % (customer, items, rest)


def _line(sku: str) -> bytes:
    return orjson.dumps({"sku": sku, "quantity": 1, "unit_price": UNIT_PRICE})


def _choose(chance: random.Random, lines: list[bytes], plan: Plan) -> list[bytes]:
    if not plan.hot_share:
        return [lines[index] for index in _distinct(chance, 0, plan.skus, plan.lines)]
    if chance.random() < plan.hot_share:
        return [lines[0], *(lines[index] for index in _distinct(chance, 1, plan.skus, plan.lines - 1))]
    return [lines[index] for index in _distinct(chance, 1, plan.skus, plan.lines)]


def _distinct(chance: random.Random, start: int, stop: int, count: int) -> list[int]:
    if count == 1:  # the usual case, at a tenth of what sample() costs
        return [_draw(chance, start, stop)]
    return chance.sample(range(start, stop), count)


def _draw(chance: random.Random, start: int, stop: int) -> int:
    return start + int(chance.random() * (stop - start))  # a third of what randrange() costs
