"""What a worker knows of the last minutes: added up while the loop turns, and bounded however much it is."""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rocksdict import Rdict

from app.delivery import turn as turns
from app.delivery.codec import Coder
from app.delivery.disk import DiskOptions
from app.delivery.state import NotHere
from app.delivery.turn import Turn
from models.analytics import Minute, Units
from tables import analytics
from web import shares
from web.analytics import gather
from web.problems import Problem
from web.shares import Share, Window, own_share

T = TypeVar("T")

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
PARTITIONS = range(8)
SKUS = 100
MINUTES = 60
minutes, units = Coder(Minute), Coder(Units)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[int, Rdict]]:
    """Give every partition of the table as a RocksDB of its own, opened as a worker does."""
    opened = {number: DiskOptions().open(tmp_path / f"{number}.db") for number in PARTITIONS}
    monkeypatch.setattr(analytics.state.table.data, "_dbs", opened)
    monkeypatch.setattr("app.delivery.state.State.partitions", lambda _: frozenset(opened))
    monkeypatch.setattr("tables.queries.is_ready", lambda: True)
    monkeypatch.setattr("tables.queries.analytics_workers", tuple)
    yield opened
    for each in opened.values():
        each.close()


def fill(disks: dict[int, Rdict], minutes_known: int = MINUTES, skus: int = SKUS) -> None:
    """Have each partition know these minutes, in each of which one order sold one of every SKU."""
    ended = minutes.encode(Minute(ends={"COMPLETED": 1}, revenue={"EUR": 5}, whole={40: 1}))
    sold = units.encode(Units(sold=1))
    for each in disks.values():
        for ago in range(minutes_known):
            date = b"%010d" % ((NOW - timedelta(minutes=ago)).timestamp() // 60)
            each[analytics.MINUTE + date] = ended
            for number in range(skus):
                each[b"%b%b/sku-%05d" % (analytics.SOLD, date, number)] = sold


def window(many: int = MINUTES) -> Window:
    return Window(NOW - timedelta(minutes=many - 1), many)


async def counting_turns(work: Awaitable[T]) -> tuple[T, int]:
    """Return what comes of the work, and how often the loop has turned meanwhile."""
    working = asyncio.ensure_future(work)
    turned = 0
    while not working.done():
        await asyncio.sleep(0)
        turned += 1
    return working.result(), turned


async def test_the_loop_turns_while_tens_of_thousands_of_rows_are_added_up(disks: dict[int, Rdict]) -> None:
    fill(disks)
    share, turned = await counting_turns(own_share(window(), Turn()))
    assert share.units is not None
    assert sum(share.units.values()) == len(PARTITIONS) * MINUTES * SKUS == 48_000
    assert turned >= 10


async def test_others_have_a_turn_between_any_two_rows_where_each_takes_long(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LONG_TURN_S", 0.0)
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    fill(disks, minutes_known=3, skus=shares.AT_ONCE)
    rows = len(PARTITIONS) * (3 + 3 * shares.AT_ONCE)
    share, turned = await counting_turns(own_share(window(3), Turn()))
    assert turned >= rows
    for work, least in (
        (share.lines(Turn()), 3),
        (Share(window(3)).take_in(await share.lines(Turn()), Turn()), 3),
    ):
        assert (await counting_turns(work))[1] >= least


async def test_the_totals_are_those_of_all_partitions(disks: dict[int, Rdict]) -> None:
    fill(disks, minutes_known=20, skus=2)
    share = await own_share(window(15), Turn())
    whole = await share.whole(Turn())
    assert (whole.ends, whole.revenue, whole.whole) == ({"COMPLETED": 120}, {"EUR": 600}, {40: 120})
    assert {minute.ends["COMPLETED"] for minute in share.minutes.values()} == {8}
    assert sorted(share.minutes) == [NOW - timedelta(minutes=ago) for ago in reversed(range(15))]
    assert share.units == {"sku-00000": 120, "sku-00001": 120}
    assert share.units_in(NOW) is None


async def test_units_are_told_of_each_minute_where_few_are_asked_for(disks: dict[int, Rdict]) -> None:
    fill(disks, minutes_known=20, skus=2)
    share = await own_share(window(shares.UNITS_LISTED), Turn())
    assert share.units_in(NOW) == {"sku-00000": 8, "sku-00001": 8}
    assert share.units_in(NOW + timedelta(minutes=9)) == {}


@pytest.mark.parametrize("many", [5, 20])
async def test_what_workers_tell_each_other_adds_up_to_what_one_would_know(
    disks: dict[int, Rdict], many: int
) -> None:
    fill(disks, minutes_known=many, skus=3)
    alone = await own_share(window(many), Turn())
    together = Share(window(many))
    for number, disk in [*disks.items()]:
        disks.clear()
        disks[number] = disk
        await together.take_in(await (await own_share(window(many), Turn())).lines(Turn()), Turn())
    assert sorted(together.partitions) == alone.partitions == [*PARTITIONS]
    assert await together.whole(Turn()) == await alone.whole(Turn())
    assert (together.minutes, together.units) == (alone.minutes, alone.units)
    assert together.units_in(NOW) == alone.units_in(NOW)


@pytest.mark.parametrize(("name", "most"), [("MOST_SKUS", 99), ("MOST_ROWS", 47_999)])
async def test_units_that_are_too_many_are_not_told_and_the_rest_is(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    fill(disks)
    monkeypatch.setattr(shares, name, most)
    share = await own_share(window(), Turn())
    assert share.units is None
    assert (await share.whole(Turn())).ends == {"COMPLETED": len(PARTITIONS) * MINUTES}
    other = Share(window())
    await other.take_in(await share.lines(Turn()), Turn())
    assert other.units is None
    monkeypatch.setattr(shares, name, most + 1)
    assert (await own_share(window(), Turn())).units is not None


async def test_of_many_minutes_the_last_are_listed_and_all_are_counted(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "LISTED", 7)
    fill(disks, minutes_known=20, skus=1)
    share = await own_share(window(20), Turn())
    assert sorted(share.minutes) == [NOW - timedelta(minutes=ago) for ago in reversed(range(7))]
    assert (await share.whole(Turn())).ends == {"COMPLETED": 160}
    other = Share(window(20))
    await other.take_in(await share.lines(Turn()), Turn())
    assert (await other.whole(Turn())).ends == {"COMPLETED": 160}


async def test_a_partition_that_goes_meanwhile_can_be_let_go_of_and_is_not_left_out(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(turns, "LONG_TURN_S", 0.0)
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    fill(disks, minutes_known=2, skus=300)
    asking = asyncio.ensure_future(own_share(window(2), Turn()))
    for _ in range(50):
        await asyncio.sleep(0)
    for number in [*disks]:
        disks.pop(number).close()
        disks_again = DiskOptions().open(tmp_path / f"{number}.db")
        disks_again.close()
    with pytest.raises(NotHere):
        await asking


@pytest.mark.parametrize("others", [[range(6, 8)], [range(6, 7), range(7, 8)]])
async def test_a_summary_has_every_partition(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch, others: list[range]
) -> None:
    share = await gathered(disks, monkeypatch, range(6), others)
    assert sorted(share.partitions) == [*PARTITIONS]


@pytest.mark.parametrize(
    ("here", "others"), [(range(6), []), (range(8), [range(7, 8)])], ids=["missing", "twice"]
)
async def test_no_summary_is_given_while_partitions_move(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch, here: range, others: list[range]
) -> None:
    with pytest.raises(Problem, match="moved between workers"):
        await gathered(disks, monkeypatch, here, others)


async def gathered(
    disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch, here: range, others: list[range]
) -> Share:
    """Return the summary where these partitions are here, and those each another worker's."""
    told = []
    for partitions in others:
        other = Share(window(1))
        other.partitions = [*partitions]
        told.append(await other.lines(Turn()))

    async def ask_all(*_: Any) -> list[bytes]:
        return told

    monkeypatch.setattr("web.analytics.ask_all", ask_all)
    for gone in {*disks} - {*here}:
        disks.pop(gone).close()
    return await gather(window(1), Turn())


async def test_one_asks_at_a_time(disks: dict[int, Rdict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONG_TURN_S", 0.0)
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    under_way: set[int] = set()
    most = 0
    find = analytics.find_minutes

    async def found(partition: int, since: datetime, turn: Turn) -> Any:
        nonlocal most
        under_way.add(id(turn))
        most = max(most, len(under_way))
        async for each in find(partition, since, turn):
            yield each
        under_way.discard(id(turn))

    monkeypatch.setattr("tables.queries.find_minutes", found)
    fill(disks, minutes_known=3, skus=1)
    await asyncio.gather(*(own_share(window(3), Turn()) for _ in range(5)))
    assert most == 1
