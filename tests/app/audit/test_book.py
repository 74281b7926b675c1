"""The book comes to what the rules say, whether it takes everything in at once or bit by bit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from app.audit.book import CASE, SKU, Book, Ends, Record, Totals
from app.audit.facts import Fact, Limits, Place, Status
from app.audit.offences import Kind, Offence
from app.delivery.codec import encode
from app.errors import ScratchRefused
from app.scratch import Scratch
from models.messages import Message
from tests.app.audit.histories import LATER, AnyFact, audit, live
from tests.models.scenario import created, deducted, moment, paid, restock
from tests.models.test_saga_machine import Life

ALL: Ends = {}


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    with Scratch(tmp_path) as opened:
        yield opened


@pytest.fixture
def book(scratch: Scratch) -> Book:
    return Book(scratch)


def record(fact: AnyFact) -> Record:
    """Return the fact as its topic has it."""
    message = fact.message
    return Record(fact.place, round(fact.at.timestamp() * 1000), message.key.encode(), encode(message))


def recorded(*messages: Message) -> list[Record]:
    """Return messages as the records of partitions of their own."""
    return [record(Fact(each, Place(each.type, number, 0))) for number, each in enumerate(messages)]


def ends_of(records: Sequence[Record]) -> Ends:
    """Return where the partitions end that hold these records."""
    ends: dict[tuple[str, int], int] = {}
    for each in records:
        place = (each.place.topic, each.place.partition)
        ends[place] = max(ends.get(place, 0), each.place.offset + 1)
    return ends


def tampered_life(seed: int) -> tuple[list[AnyFact], Limits]:
    """Return the facts of a life, some of them dropped and some told in two ways, by the time of the log."""
    draw, life = Random(seed), Life(seed)  # noqa: S311  # a test's own chance
    live(life, 200)
    life.world.drain()
    keys = sorted({key for _, key in life.world.logs})
    facts = [
        Fact(message, Place(wire_name, keys.index(key), offset))
        for (wire_name, key), records in life.world.logs.items()
        for offset, message in enumerate(records)
    ]
    facts = [fact for fact in facts if draw.random() > 0.02]
    for fact in draw.sample(facts, 3):
        later = fact.message.occurred_at + timedelta(seconds=1)
        place = fact.place._replace(offset=fact.place.offset + 1_000)
        facts.append(Fact(replace(fact.message, occurred_at=later), place))
    limits = Limits(
        now=life.world.now + timedelta(days=2), deadline=timedelta(days=1), skew=life.world.spread
    )
    return sorted(facts, key=lambda fact: (fact.at, fact.place)), limits


def in_order(offences: Sequence[Offence]) -> list[str]:
    return sorted(map(repr, offences))


@pytest.mark.parametrize("seed", range(8))
def test_the_book_finds_what_the_rules_find(seed: int, book: Book) -> None:
    facts, limits = tampered_life(seed)
    found = audit(facts, limits)
    records = [record(fact) for fact in facts]
    Random(seed).shuffle(records)  # noqa: S311  # a test's own chance
    book.take(records)
    book.judge(limits, ends_of(records))
    assert found.offences, "nothing was tampered with"
    assert in_order(book.offences(100_000)) == in_order(found.offences)
    assert book.totals.offences == Counter(each.kind for each in found.offences)
    assert book.totals.records == len(facts)
    for _, entry in book.entries(CASE):
        if entry.subject in found.orders:
            assert entry.status is found.orders[entry.subject].status
    assert {entry.subject: entry.counters for _, entry in book.entries(SKU)} == {
        sku: verdict.counters for sku, verdict in found.stock.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_bit_by_bit_it_comes_to_the_same(seed: int, book: Book) -> None:
    facts, limits = tampered_life(seed)
    records = [record(fact) for fact in facts]
    size = Random(seed).randint(1, 60)  # noqa: S311  # a test's own chance
    for start in range(0, len(records), size):
        known = records[: start + size]
        book.take(records[start : start + size])
        now = moment(known[-1].timestamp_ms / 1000 - moment(0).timestamp())
        book.judge(replaced(limits, now), ends_of(known[: -size // 2] or known))
    book.judge(limits, ends_of(records))
    assert in_order(book.offences(100_000)) == in_order(audit(facts, limits).offences)
    assert_same_totals(book.totals, facts, limits)


def replaced(limits: Limits, now: object) -> Limits:
    return Limits(now=now, deadline=limits.deadline, skew=limits.skew)  # type: ignore[arg-type]


def assert_same_totals(totals: Totals, facts: list[AnyFact], limits: Limits) -> None:
    found = audit(facts, limits)
    assert +totals.offences == Counter(each.kind for each in found.offences)
    assert +totals.orders == Counter(each.status for each in found.orders.values() if each.status)
    assert totals.skus == len(found.stock)
    assert totals.prefixes == sum(each.prefixes for each in found.stock.values())


def test_an_order_runs_into_its_deadline_though_nothing_more_is_said(book: Book) -> None:
    records = recorded(created(("A", 1)))
    book.take(records)
    for seconds, kinds in ((30, {}), (60, {}), (61, {Kind.NO_END: 1}), (90, {Kind.NO_END: 1})):
        limits = Limits(now=moment(seconds), deadline=timedelta(seconds=60))
        book.judge(limits, ends_of(records))
        assert +book.totals.offences == Counter(kinds), seconds
    assert book.totals.orders == {Status.OPEN: 1}


def test_what_is_behind_the_ends_is_judged_the_next_time(book: Book) -> None:
    stray = recorded(paid(order="nobody's"), deducted(order="nobody's", at=2))
    book.take(stray)
    book.judge(LATER, ALL)
    assert not book.totals.offences
    book.judge(LATER, ends_of(stray))
    assert +book.totals.offences == Counter({Kind.NO_ORDER: 1, Kind.NEGATIVE_STOCK: 1})


def test_the_same_record_counts_once_however_often_it_is_read(book: Book) -> None:
    records = recorded(restock(5), created(("A", 1)))
    book.take([*records, *records])
    book.judge(LATER, ends_of(records))
    book.take(records)
    book.judge(LATER, ends_of(records))
    assert book.totals.facts == 2
    assert [entry.counters.restocked for _, entry in book.entries(SKU) if entry.counters] == [5]


def test_what_cannot_be_read_is_counted_and_no_offence(book: Book) -> None:
    (good,) = recorded(restock(5))
    place = good.place
    book.take(
        [
            good._replace(place=place._replace(offset=1), value=b"{"),
            good._replace(place=place._replace(offset=2), key=b"another"),
            good._replace(place=place._replace(offset=3), value=None),
            good,
        ]
    )
    book.judge(LATER, ends_of([good]))
    assert (book.totals.records, book.totals.unreadable, book.totals.facts) == (4, 3, 1)
    assert not +book.totals.offences


def test_what_is_in_another_partition_than_its_key_s_is_counted_and_no_offence(scratch: Scratch) -> None:
    book, (good,) = Book(scratch, partitions=8), recorded(restock(5))
    places = [good.place._replace(partition=partition) for partition in range(8)]
    book.take(good._replace(place=place) for place in places)
    book.judge(LATER, {(place.topic, place.partition): place.offset + 1 for place in places})
    assert (book.totals.records, book.totals.unreadable, book.totals.facts) == (8, 7, 1)
    assert not +book.totals.offences


@pytest.mark.parametrize("in_one_go", [True, False])
def test_one_id_for_two_orders_is_found(book: Book, in_one_go: bool) -> None:  # noqa: FBT001
    one, other = created(("A", 1), order="one"), created(("A", 1), order="two", at=3)
    records = recorded(one, replace(other, event_id=one.event_id))
    soon = Limits(now=moment(10), deadline=timedelta(days=1))
    for some in [records] if in_one_go else [records[:1], records[1:]]:
        book.take(some)
        book.judge(soon, ends_of(records))
    (offence,) = book.offences(10)
    assert (offence.kind, offence.subject, offence.place) == (
        Kind.SAME_ID,
        "two",
        Place("ORDER_CREATED", 1, 0),
    )
    assert offence.found == "the id of an event of one, at ORDER_CREATED/0/0"


def test_few_of_many_offences_are_shown_and_some_of_every_kind(book: Book) -> None:
    lost = [created(("A", 1), order=f"lost-{number}") for number in range(50)]
    strays = [paid(order=f"stray-{number}") for number in range(50)]
    records = recorded(*lost, *strays)
    book.take(records)
    book.judge(LATER, ends_of(records))
    assert +book.totals.offences == Counter({Kind.NO_END: 50, Kind.NO_ORDER: 50})
    assert Counter(offence.kind for offence in book.offences(10)) == {Kind.NO_END: 5, Kind.NO_ORDER: 5}


def test_more_than_can_be_judged_one_by_one_is_judged_in_one_go(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.audit.book.TOUCHED_AT_MOST", 3)
    records = recorded(*(created(("A", 1), order=f"order-{number}") for number in range(10)))
    book.take(records[:2])
    book.judge(LATER, ends_of(records))
    book.take(records[2:4])
    book.judge(LATER, ends_of(records))
    assert book.changed is not None
    book.take(records[4:])
    book.judge(LATER, ends_of(records))
    assert book.changed is None
    assert book.totals.offences == {Kind.NO_END: 10}


def test_the_scratch_store_leaves_nothing_behind(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        scratch.put(b"key", b"value")
        scratch.flush()
        assert scratch.get(b"key") == b"value"
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScratchRefused, match=r"--scratch .*missing: No such file or directory"):
        Scratch(tmp_path / "missing")
