"""An order as it was at any time: the same as it stood then."""

from datetime import timedelta
from functools import reduce

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from models.history import as_of
from models.order import Order
from models.saga import OrderEvent, evolve
from tests.models.scenario import created, deducted, moment, paid
from tests.models.test_saga_design import alphabet

SKUS = ("A", "B")
EVENTS = alphabet(*SKUS)
CREATED = created(("A", 2), ("B", 1))


def dated(event: OrderEvent, second: int) -> OrderEvent:
    """Return the event as the log took it in at this second."""
    return replace(event, recorded_at=moment(second))


def fold(events: list[OrderEvent]) -> Order | None:
    """Return what the events make of an order."""
    return reduce(evolve, events, None)


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
@examples(max_examples=300)
def test_at_the_time_of_every_event_the_order_was_what_it_had_made_of_it(chosen: list[OrderEvent]) -> None:
    life = [dated(event, second) for second, event in enumerate([CREATED, *chosen], 1)]
    final = fold(life)
    assert final is not None
    for second in range(1, len(life) + 1):
        assert as_of(final, moment(second)) == fold(life[:second])


def test_before_it_was_accepted_there_was_none() -> None:
    order = fold([dated(CREATED, 5)])
    assert order is not None
    assert as_of(order, moment(5) - timedelta(milliseconds=1)) is None


def test_between_two_events_it_stood_as_the_first_had_left_it() -> None:
    life = [dated(CREATED, 1), dated(deducted("A", 2), 2), dated(deducted("B"), 3), dated(paid(3000), 9)]
    order = fold(life)
    assert order is not None
    assert as_of(order, moment(8)) == fold(life[:3])
    assert as_of(order, moment(900)) == order
