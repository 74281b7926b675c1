"""How a wish with a key is answered by its owner, whatever becomes of what it sends."""

import asyncio
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from yarl import URL

from models.events import InventoryRestocked
from models.idempotency import Key, fingerprint
from models.messages import Message
from tables import queries
from web import once
from web.keyed import First
from web.once import AT_A_TIME, DOUBT, LIFETIME, Held, Once, Sent
from web.placing import SCOPE, KeyedOrder
from web.problems import Problem, later, too_much
from web.requests import PlaceOrder

DEADLINE_S = 10
TENURE = queries.Tenure(1, 0, {})
PATIENT_S = 0.05
BODY_BYTES = 65_536


class Owner:
    """Be the worker that owns a key, its table and its clock."""

    def __init__(self) -> None:
        self.table: dict[str, First] = {}
        self.sent: list[InventoryRestocked] = []
        self.answers: list[asyncio.Future[None]] = []
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.is_sure = True
        self.is_here = True
        self.has_room = True
        self.once = Once(self.accept)

    async def accept(self, message: Message, **known: str) -> None:
        assert isinstance(message, InventoryRestocked)
        assert known == {"thing_id": message.event_id}
        self.sent.append(message)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]

    def acknowledge(self) -> None:
        self.answers[-1].set_result(None)

    def fail(self) -> None:
        self.answers[-1].set_exception(later("not acknowledged", 1))

    def take_in(self, message: InventoryRestocked | None = None) -> None:
        """Have the stage take in what was sent last, unless it has that id."""
        message = message or self.sent[-1]
        known = First(message.event_id, mark(message.quantity), message.occurred_at, {})
        self.table.setdefault(message.event_id, known)

    def ask(self, quantity: int = 1, key: str = "key") -> "asyncio.Task[tuple[First, bool]]":
        return asyncio.ensure_future(self.once.answer(Thing(self, key, quantity)))

    async def sends(self, count: int) -> None:
        """Wait until so many messages were sent."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.sent) < count:  # noqa: ASYNC110  # a list tells nobody
                await asyncio.sleep(0)

    async def accepts(self, quantity: int = 1, key: str = "key") -> tuple[First, bool]:
        """Ask for what is new, and have it acknowledged."""
        asked = self.ask(quantity, key)
        await self.sends(len(self.sent) + 1)
        self.acknowledge()
        return await asked


def mark(quantity: int) -> str:
    return fingerprint(str(quantity).encode())


class Thing:
    """Be a wish for so many of something."""

    id_name = "thing_id"

    def __init__(self, owner: Owner, key: str, quantity: int) -> None:
        self.key = Key("POST /things", key)
        self.body = bytes(BODY_BYTES)
        self.fingerprint = mark(quantity)
        self._owner = owner
        self._quantity = quantity

    def owner(self) -> URL | None:
        return None

    async def hold(self) -> queries.Tenure:
        if not self._owner.is_here:
            raise queries.Moving("gone")
        return TENURE

    def fits(self, name: str) -> bool:
        return bool(name)

    def find(self, name: str) -> First | None:
        if not self._owner.is_here:
            raise queries.NotHere("gone")
        return self._owner.table.get(name)

    async def appeared(self, name: str) -> First | None:
        try:
            async with asyncio.timeout(PATIENT_S):
                while (known := self.find(name)) is None:  # noqa: ASYNC110  # a table of tests tells nobody
                    await asyncio.sleep(0)
        except TimeoutError:
            return None
        return known

    def location(self, first: First) -> str:
        return first.id

    def begin(self, name: str, at: datetime) -> First:
        if not self._owner.has_room:
            raise too_much("no room", 1)
        return First(name, self.fingerprint, at, {"quantity": self._quantity})

    def message(self, first: First) -> InventoryRestocked:
        return InventoryRestocked(
            event_id=first.id,
            occurred_at=first.at,
            correlation_id=first.id,
            causation_id=first.id,
            sku="mug",
            quantity=self._quantity,
        )


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    made = Owner()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            assert tz is UTC
            return made.now

    monkeypatch.setattr(once, "datetime", Clock)
    monkeypatch.setattr(queries, "is_sure", lambda tenure: tenure is TENURE and made.is_sure)
    return made


async def refusal(asked: "asyncio.Task[Any]") -> int:
    with pytest.raises(Problem) as refused:
        await asked
    return refused.value.status


async def test_the_first_request_is_answered_once_it_is_acknowledged(owner: Owner) -> None:
    asked = owner.ask()
    await owner.sends(1)
    assert not asked.done()
    owner.acknowledge()
    first, replayed = await asked
    assert (first.id, first.at, replayed) == (owner.sent[0].event_id, owner.now, False)


async def test_the_next_one_gets_the_same_answer_before_the_table_has_it_and_after(owner: Owner) -> None:
    first, _ = await owner.accepts()
    owner.now += timedelta(minutes=1)
    assert await owner.ask() == (first, True)
    owner.take_in()
    known, replayed = await owner.ask()
    assert (known.id, known.at, replayed) == (first.id, first.at, True)
    assert len(owner.sent) == 1


async def test_another_wish_is_refused_before_the_table_has_the_first_and_after(owner: Owner) -> None:
    await owner.accepts()
    assert await refusal(owner.ask(2)) == 422
    owner.take_in()
    assert await refusal(owner.ask(2)) == 422
    assert len(owner.sent) == 1


async def test_requests_at_once_wait_for_one_acknowledgement(owner: Owner) -> None:
    asked = [owner.ask() for _ in range(50)]
    other = owner.ask(2)
    await owner.sends(1)
    assert await refusal(other) == 422
    owner.acknowledge()
    answers = await asyncio.gather(*asked)
    assert {first.id for first, _ in answers} == {owner.sent[0].event_id}
    assert sorted(replayed for _, replayed in answers) == [False, *[True] * 49]
    assert len(owner.sent) == 1


async def test_other_keys_are_other_wishes(owner: Owner) -> None:
    (one, _), (other, replayed) = await owner.accepts(key="one"), await owner.accepts(key="other")
    assert (one.id != other.id, replayed) == (True, False)


async def test_all_are_told_that_the_outcome_is_unknown_and_the_same_is_sent_once_more(owner: Owner) -> None:
    asked = [owner.ask() for _ in range(2)]
    await owner.sends(1)
    owner.fail()
    assert [await refusal(each) for each in asked] == [503, 503]
    owner.now += timedelta(minutes=1)
    first, replayed = await owner.accepts()
    assert owner.sent[1] == owner.sent[0], "whichever of the two counts, it says the same"
    assert (first.at, replayed) == (owner.sent[0].occurred_at, False)


async def test_another_wish_is_refused_while_the_outcome_of_the_first_is_unknown(owner: Owner) -> None:
    asked = owner.ask()
    await owner.sends(1)
    owner.fail()
    assert await refusal(asked) == 503
    assert await refusal(owner.ask(2)) == 422
    assert len(owner.sent) == 1


async def test_what_was_not_acknowledged_and_taken_in_all_the_same_is_the_answer(owner: Owner) -> None:
    asked = owner.ask()
    await owner.sends(1)
    owner.fail()
    owner.take_in()
    assert await refusal(asked) == 503
    first, replayed = await owner.ask()
    assert (first.id, replayed, len(owner.sent)) == (owner.sent[0].event_id, True, 1)


async def test_one_that_gives_up_leaves_the_others_waiting(owner: Owner) -> None:
    leader, follower = owner.ask(), owner.ask()
    await owner.sends(1)
    leader.cancel()
    await asyncio.wait({leader})
    owner.acknowledge()
    assert (await follower)[0].id == owner.sent[0].event_id


async def test_what_was_refused_leaves_no_trace(owner: Owner) -> None:
    owner.has_room = False
    assert await refusal(owner.ask()) == 429
    owner.has_room = True
    first, replayed = await owner.accepts(2)
    assert (first.fingerprint, replayed) == (mark(2), False)


async def test_a_key_may_be_used_for_something_else_when_it_has_expired(owner: Owner) -> None:
    first, _ = await owner.accepts()
    owner.take_in()
    owner.now += LIFETIME
    second, replayed = await owner.accepts(2)
    assert (second.id != first.id, second.at, replayed) == (True, owner.now, False)


async def test_an_owner_that_is_not_sure_answers_what_the_table_says(owner: Owner) -> None:
    owner.is_sure = False
    asked = owner.ask()
    await owner.sends(1)
    owner.acknowledge()
    owner.take_in()
    assert (await asked)[0].id == owner.sent[0].event_id


async def test_an_owner_that_is_not_sure_refuses_what_was_not_the_first(owner: Owner) -> None:
    owner.is_sure = False
    asked = owner.ask(1)
    await owner.sends(1)
    earlier = Thing(owner, "key", 2).message(First(owner.sent[0].event_id, None, owner.now, {}))
    owner.take_in(earlier)
    owner.acknowledge()
    assert await refusal(asked) == 422


async def test_an_owner_that_is_not_sure_does_not_guess(owner: Owner) -> None:
    owner.is_sure = False
    asked = owner.ask()
    await owner.sends(1)
    owner.acknowledge()
    assert await refusal(asked) == 503


async def test_who_is_not_the_owner_or_no_longer_says_so(owner: Owner) -> None:
    asked = owner.ask()
    await owner.sends(1)
    owner.acknowledge()
    owner.is_sure = owner.is_here = False
    assert await refusal(asked) == 503
    assert await refusal(owner.ask()) == 503
    assert len(owner.sent) == 1


async def test_what_the_table_has_is_not_kept_in_mind(owner: Owner) -> None:
    for number in range(100):
        await owner.accepts(key=str(number))
        owner.take_in()
    assert len(owner.once._sent) <= AT_A_TIME  # noqa: SLF001  # what is kept shows in nothing else


async def test_what_is_in_doubt_is_kept_in_mind_for_a_while_and_holds_up_nothing_else(owner: Owner) -> None:
    doubtful = [owner.ask(key=f"doubtful {number}") for number in range(10)]
    await owner.sends(10)
    for answer in owner.answers:
        answer.set_exception(later("not acknowledged", 1))
    assert {await refusal(each) for each in doubtful} == {503}
    for number in range(100):
        await owner.accepts(key=str(number))
        owner.take_in()
    assert 10 <= len(owner.once._sent) <= 2 * 10 + AT_A_TIME  # noqa: SLF001
    owner.now += DOUBT + timedelta(seconds=1)
    for number in range(100, 200):
        await owner.accepts(key=str(number))
        owner.take_in()
    assert len(owner.once._sent) <= AT_A_TIME  # noqa: SLF001


async def test_there_is_a_bound_to_what_is_kept_in_mind(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "MOST", 2)
    await owner.accepts(key="one")
    await owner.accepts(key="two")
    assert await refusal(owner.ask(key="three")) == 503
    assert (await owner.ask(key="one"))[1], "what is known is still answered"
    for message in owner.sent:
        owner.take_in(message)
    await owner.accepts(key="three")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have room for three bodies."""
    monkeypatch.setattr(once, "MOST_BYTES", 3 * BODY_BYTES)


async def in_doubt(owner: Owner, count: int) -> None:
    """Have so many wishes sent of which nobody knows whether Kafka has them."""
    for number in range(count):
        asked = owner.ask(key=f"doubtful {number}")
        await owner.sends(len(owner.sent) + 1)
        owner.fail()
        assert await refusal(asked) == 503


@pytest.mark.usefixtures("narrow")
async def test_there_is_a_bound_to_the_bytes_that_wait_for_kafka_or_are_in_doubt(owner: Owner) -> None:
    await in_doubt(owner, 2)
    waiting = owner.ask(key="waiting")
    await owner.sends(3)
    assert await refusal(owner.ask(key="one too many")) == 503
    assert len(owner.sent) == 3
    owner.acknowledge()
    await waiting
    await owner.accepts(key="one too many")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("end", ["sent again", "in the table", "asked for and in the table", "given up"])
async def test_what_is_in_doubt_no_more_takes_no_bytes(owner: Owner, end: str) -> None:
    await owner.accepts(key="known")
    owner.take_in()
    await in_doubt(owner, 3)
    doubted = owner.sent[2]
    assert await refusal(owner.ask(key="one too many")) == 503
    if end == "sent again":
        await owner.accepts(key="doubtful 1")
    elif end == "given up":
        owner.now += DOUBT + timedelta(seconds=1)
    else:
        owner.take_in(doubted)
    if end == "asked for and in the table":
        await owner.ask(key="doubtful 1")
    for _ in range(2):  # each request looks at a few of the others
        await owner.ask(key="known")
    await owner.accepts(key="one too many")


@pytest.mark.usefixtures("narrow")
async def test_what_is_acknowledged_takes_no_bytes_whether_it_is_in_the_table_or_not(owner: Owner) -> None:
    for number in range(10):
        await owner.accepts(key=str(number))
    for number in range(10):
        assert (await owner.ask(key=str(number)))[1]
    assert len(owner.sent) == 10


async def test_of_an_order_that_is_kept_in_mind_its_body_is_not() -> None:
    body = {
        "customer_id": "customer",
        "currency": "EUR",
        "items": [{"sku": "mug", "quantity": 1, "unit_price": 500}],
        "payment": {"token": "tok_ok"},
    }
    wish = KeyedOrder(Key(SCOPE, "key"), PlaceOrder.model_validate(body))
    kept = Sent(wish, First("order-1", wish.fingerprint, datetime(2026, 1, 1, tzinfo=UTC), {}), Held())
    body_of = weakref.ref(wish)
    del wish
    assert (kept.doubtful, body_of()) == (True, None)
