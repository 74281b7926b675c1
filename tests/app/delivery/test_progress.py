"""How far the input has been worked through, and what of it Kafka is still to be told."""

import asyncio
from contextlib import suppress
from typing import Any

from faust.types import TP

from app.delivery.progress import Progress
from tests.app.delivery.fakes import Record

ONE, OTHER = TP("ORDER_CREATED", 0), TP("ORDER_CREATED", 5)


def record(tp: TP, offset: int) -> Any:
    return Record(offset, b"{}", b"key", where=tp.partition, name=tp.topic)


def test_what_was_worked_through_is_due_until_kafka_has_been_told() -> None:
    progress = Progress()
    progress.reach([record(ONE, 0), record(OTHER, 7), record(ONE, 1)])
    assert progress.due() == {ONE: 2, OTHER: 8}
    progress.save({ONE: 2, OTHER: 8})
    assert progress.due() == {}


def test_what_is_reached_while_kafka_is_being_told_stays_due() -> None:
    progress = Progress()
    progress.reach([record(ONE, 0)])
    told = progress.due()
    progress.reach([record(ONE, 1)])
    progress.save(told)
    assert progress.due() == {ONE: 2}


def test_a_gap_in_the_offsets_is_passed() -> None:
    progress = Progress()
    progress.reach([record(ONE, 3), record(ONE, 90)])
    assert progress.due() == {ONE: 91}


def test_a_new_assignment_forgets_the_one_before() -> None:
    progress = Progress()
    progress.reach([record(ONE, 41)])
    progress.start({OTHER: 5, ONE: None})
    assert progress.due() == {}
    assert (progress.reached(ONE), progress.reached(OTHER)) == (0, 5)


async def test_whoever_waits_for_an_offset_goes_on_once_what_is_before_it_was_worked_through() -> None:
    progress = Progress()
    waiting = asyncio.ensure_future(progress.pass_by(ONE, 2))
    for given in (record(OTHER, 7), record(ONE, 0)):
        await asyncio.sleep(0)
        progress.reach([given])
    await asyncio.sleep(0)
    assert not waiting.done()
    progress.reach([record(ONE, 1)])
    await waiting


async def test_who_no_longer_waits_is_not_woken() -> None:
    progress = Progress()
    with suppress(TimeoutError):
        await asyncio.wait_for(progress.pass_by(ONE, 1), 0)
    progress.reach([record(ONE, 0)])
    await progress.pass_by(ONE, 1)
