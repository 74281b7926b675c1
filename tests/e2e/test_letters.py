"""The operator's work on dead letters, on a real Kafka and a running worker."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.letters.reading import count_open
from app.settings import load
from tests.e2e.letters import bury, half_an_order, listed, operate
from tests.e2e.shop import new_sku
from tests.e2e.system import System, free_port

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_letter_is_listed_with_where_it_came_from_and_what_was_wrong(system: System) -> None:
    order_id = new_sku("order")
    poison = half_an_order(order_id)
    letter, *others = await bury(system, poison)
    assert not others
    assert letter["id"].startswith(f"{poison.partition}:")
    assert (letter["topic"], letter["partition"]) == ("ORDER_CREATED", poison.partition)
    assert letter["key"] == order_id
    assert letter["error"].startswith("Undecodable: ")
    assert datetime.now(UTC) - datetime.fromisoformat(letter["at"]) < timedelta(minutes=2)

    ended = await operate(system, "list", "--key", order_id)
    assert (ended.code, ended.err) == (0, "")
    for text in (letter["id"], f"ORDER_CREATED/{poison.partition}/{letter['offset']}", order_id, "1 letter."):
        assert text in ended.out


async def test_letters_are_filtered_and_paged_newest_last(system: System) -> None:
    order_id = new_sku("order")
    poison = half_an_order(order_id)
    letters = await bury(system, poison, poison, poison)
    ids = [letter["id"] for letter in letters]
    mine = ("--key", order_id)
    assert await listed(system, *mine, "--limit", "2") == letters[1:]
    assert await listed(system, *mine, "--before", ids[1]) == letters[:1]
    assert await listed(system, "--order", order_id, "--topic", "ORDER_CREATED") == letters
    assert await listed(system, *mine, "--error", "undecodable", "--since", "1h") == letters
    assert await listed(system, *mine, "--topic", "PAYMENT_FAILED") == []
    assert await listed(system, *mine, "--error", "no such error") == []
    assert await listed(system, *mine, "--since", "2999-01-01") == []
    page = await operate(system, "list", *mine, "--limit", "2")
    assert f"The newest 2 of 3; those before them: --before {ids[1]}" in page.out
    assert (await operate(system, "list", "--key", "nobody's")).out == "No letter.\n"


async def test_a_letter_is_shown_with_its_bytes(system: System) -> None:
    order_id = new_sku("order")
    (letter,) = await bury(system, half_an_order(order_id))
    shown = await operate(system, "show", letter["id"])
    assert (shown.code, shown.err) == (0, "")
    assert f"key     {order_id}\n" in shown.out
    assert "done    nothing\n" in shown.out
    assert "00000000  7b 22 74 79 70 65 22 3a" in shown.out


async def test_open_letters_are_counted_by_topic(system: System) -> None:
    settings = load().model_copy(update={"broker": system.bootstrap})
    before = await asyncio.to_thread(count_open, settings)
    await bury(system, half_an_order(new_sku("order")))
    after = await asyncio.to_thread(count_open, settings)
    assert after["ORDER_CREATED"] == before.get("ORDER_CREATED", 0) + 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "0:999999999"), "error: there is no letter 0:999999999\n"),
        (("show", "99:1"), "error: there is no letter 99:1\n"),
        (("show", "x"), "error: 'x' is no letter's id: expected PARTITION:OFFSET, such as 3:17\n"),
        (("list", "--since", "soon"), "error: --since soon: expected a time such as"),
        (("list", "--before", "0:999999999"), "error: there is no letter 0:999999999\n"),
    ],
)
async def test_what_can_not_be_done_is_one_clear_sentence(
    system: System, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = await operate(system, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(sentence)
    assert ended.err.count("\n") == 1


async def test_without_a_broker_that_is_said(system: System) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    ended = await operate(system, "list", ORDERS_BROKER=nowhere)
    assert ended.code == 1
    assert ended.err.startswith(f"error: no Kafka answers at {nowhere}: ")
