"""The operator's work on dead letters, on a real Kafka and a running worker."""

import asyncio
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.letters.reading import count_open
from app.partitions import partition_of
from app.settings import load
from tests.e2e.letters import (
    PARTITIONS,
    begin,
    bury,
    end,
    forge,
    half_an_order,
    listed,
    operate,
    sizes,
    whole_order,
)
from tests.e2e.shop import Shop, item, new_sku, order, until
from tests.e2e.system import System, free_port
from tests.e2e.test_poison import Poison, spread

TOPICS = ("ORDER_CREATED", "DEAD_LETTER_OUTCOMES")
"""What a retry writes to, where no other test does at the same time."""

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
    pages: Sequence[tuple[tuple[str, ...], Sequence[Any]]] = (
        ((*mine, "--limit", "2"), letters[1:]),
        ((*mine, "--before", ids[1]), letters[:1]),
        (("--order", order_id, "--topic", "ORDER_CREATED"), letters),
        ((*mine, "--error", "undecodable", "--since", "1h"), letters),
        ((*mine, "--topic", "PAYMENT_FAILED"), []),
        ((*mine, "--error", "no such error"), []),
        ((*mine, "--since", "2999-01-01"), []),
    )
    found = await asyncio.gather(*(listed(system, *arguments) for arguments, _ in pages))
    assert found == [wanted for _, wanted in pages]
    page, none = await asyncio.gather(
        operate(system, "list", *mine, "--limit", "2"), operate(system, "list", "--key", "nobody's")
    )
    assert f"The newest 2 of 3; those before them: --before {ids[1]}" in page.out
    assert none.out == "No letter.\n"


async def test_a_letter_is_shown_with_its_bytes(system: System) -> None:
    order_id = new_sku("order")
    (letter,) = await bury(system, half_an_order(order_id))
    shown, raw = await asyncio.gather(
        operate(system, "show", letter["id"]), operate(system, "show", letter["id"], "--raw")
    )
    assert (shown.code, shown.err) == (0, "")
    assert f"key     {order_id}\n" in shown.out
    assert "done    nothing\n" in shown.out
    assert "00000000  7b 22 74 79 70 65 22 3a" in shown.out
    assert (raw.code, raw.out.encode(), raw.err) == (0, half_an_order(order_id).value, "")


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
        (("retry", "0:999999999"), "error: there is no letter 0:999999999\n"),
        (("retry",), "error: name letters by their ids, or give a filter, or --all\n"),
        (("drop", "0:1", "--all", "--reason", "x"), "error: name letters by their ids or by filters, not"),
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


async def test_a_mended_record_is_put_back_and_its_order_settles(
    system: System, shop: Shop, tmp_path: Path
) -> None:
    order_id, sku = new_sku("order"), new_sku()
    await shop.restock(sku, 1)
    (letter,) = await bury(system, half_an_order(order_id, sku))
    mended = tmp_path / "mended.json"
    mended.write_bytes(whole_order(order_id, sku))

    dry = await operate(system, "retry", letter["id"], "--edit", str(mended), "--dry-run")
    assert (dry.code, "can be read" in dry.out, "would be put back" in dry.out) == (0, True, True)
    assert (await shop.get(f"/orders/{order_id}"))[0] == 404

    ended = await operate(system, "retry", letter["id"], "--edit", str(mended), "--by", "ada")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"{letter['id']}: taken in\n")
    assert (await shop.settled(order_id))["status"] == "COMPLETED"
    assert await shop.counters(sku) == (0, 0, 1)
    assert await listed(system, "--key", order_id) == []
    assert (await steps(shop, order_id))[:2] == ["DEAD_LETTER", "ORDER_CREATED"]
    assert "done    retried as ORDER_CREATED/" in (shown := await operate(system, "show", letter["id"])).out
    assert ", edited by ada at " in shown.out


async def test_a_record_can_be_mended_in_an_editor(system: System, shop: Shop, tmp_path: Path) -> None:
    order_id, sku = new_sku("order"), new_sku()
    await shop.restock(sku, 1)
    (letter,) = await bury(system, half_an_order(order_id, sku))
    (tmp_path / "mended.json").write_bytes(whole_order(order_id, sku))
    ended = await operate(system, "retry", letter["id"], "--editor", EDITOR=f"cp {tmp_path}/mended.json")
    assert (ended.code, ended.err) == (0, "")
    assert (await shop.settled(order_id))["status"] == "COMPLETED"


async def test_a_record_that_can_still_not_be_read_comes_back_and_is_said_to(system: System) -> None:
    order_id = new_sku("order")
    poison = half_an_order(order_id)
    (letter,) = await bury(system, poison)
    dry = await operate(system, "retry", letter["id"], "--dry-run")
    assert "can't be read: " in dry.out

    ended = await operate(system, "retry", letter["id"])
    assert (ended.code, ended.err) == (1, "")
    (again,) = await listed(system, "--key", order_id)
    assert again["id"] != letter["id"]
    assert f"put back as ORDER_CREATED/{poison.partition}/{again['offset']}" in ended.out
    assert f"{letter['id']}: came back as letter {again['id']}: Undecodable: " in ended.out
    shown = await operate(system, "show", letter["id"])
    assert f"came back as letter {again['id']}" in shown.out


async def test_what_was_retried_is_not_retried_again_unless_forced(system: System) -> None:
    (letter,) = await bury(system, half_an_order(new_sku("order")))
    assert (await operate(system, "retry", letter["id"], "--wait", "0")).code == 0
    before = await sizes(system, *TOPICS)
    again = await operate(system, "retry", letter["id"])
    assert (again.code, again.err) == (0, "")
    assert "nothing is done about it again without --force" in again.out
    assert await sizes(system, *TOPICS) == before
    assert (await operate(system, "retry", letter["id"], "--force", "--wait", "0")).code == 0
    assert await sizes(system, *TOPICS) == {topic: size + 1 for topic, size in before.items()}


async def test_no_letter_overtakes_an_earlier_one_of_its_key_unless_forced(system: System) -> None:
    order_id = new_sku("order")
    poison = half_an_order(order_id)
    first, second, third = await bury(system, poison, poison, poison)
    before = await sizes(system, *TOPICS)
    refused = await operate(system, "retry", second["id"], third["id"])
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        f"error: letter {second['id']} has to wait for {first['id']}, an earlier one of its key,"
        " and 1 more wait likewise: choose both, or use --force\n"
    )
    assert await sizes(system, *TOPICS) == before
    ended = await operate(system, "retry", "--key", order_id, "--limit", "2", "--force", "--wait", "0")
    places = re.findall(r"^(\S+): put back as ORDER_CREATED/\d+/(\d+)", ended.out, re.MULTILINE)
    assert [name for name, _ in places] == [first["id"], second["id"]]
    assert int(places[0][1]) < int(places[1][1])
    assert "The oldest 2 of 3; --limit takes more." in ended.out


async def test_what_comes_back_keeps_its_place_before_the_later_letters_of_its_key(
    system: System, shop: Shop, tmp_path: Path
) -> None:
    order_id, sku = new_sku("order"), new_sku()
    await shop.restock(sku, 1)
    bad = half_an_order(order_id, sku)
    first, second = await bury(system, bad, bad)
    (mended := tmp_path / "mended.json").write_bytes(whole_order(order_id, sku))

    ended = await operate(system, "retry", "--key", order_id)
    again, *_ = (each for each in await listed(system, "--key", order_id) if each["id"] != second["id"])
    assert (ended.code, ended.err) == (1, "")
    assert f"{first['id']}: came back as letter {again['id']}: " in ended.out
    assert f"{second['id']}: not put back, it waits for {again['id']}\n" in ended.out
    assert [each["id"] for each in await listed(system, "--key", order_id)] == [second["id"], again["id"]]

    refused = await operate(system, "retry", second["id"])
    assert refused.code == 1
    assert f"letter {second['id']} has to wait for {again['id']}, an earlier one of its key" in refused.err

    ended = await operate(system, "retry", again["id"], "--edit", str(mended))
    assert (ended.code, ended.err) == (0, "")
    ended = await operate(system, "retry", second["id"], "--edit", str(mended))
    assert (ended.code, ended.out.endswith(f"{second['id']}: taken in\n")) == (0, True), ended.out
    assert (await shop.settled(order_id))["status"] == "COMPLETED"


async def test_one_that_is_not_waited_for_lets_no_other_of_its_key_go(system: System) -> None:
    order_id = new_sku("order")
    bad = half_an_order(order_id)
    first, second = await bury(system, bad, bad)
    ended = await operate(system, "retry", "--key", order_id, "--wait", "0")
    assert (ended.code, ended.err) == (1, "")
    assert f"{second['id']}: not put back, it waits for {first['id']}\n" in ended.out
    assert second["id"] in [each["id"] for each in await listed(system, "--key", order_id)]


async def test_a_dropped_letter_is_listed_no_more_and_kept(system: System) -> None:
    order_id = new_sku("order")
    (letter,) = await bury(system, half_an_order(order_id))
    before = await sizes(system, *TOPICS, "DEAD_LETTERS")
    why = ("--reason", "somebody's test")
    dry, unconfirmed = await asyncio.gather(
        operate(system, "drop", letter["id"], *why, "--dry-run"), operate(system, "drop", letter["id"], *why)
    )
    assert (dry.code, "nothing was done; 1 would be dropped" in dry.out) == (0, True)
    assert unconfirmed.code == 1, "nobody was there to confirm it"
    assert await sizes(system, *TOPICS, "DEAD_LETTERS") == before
    assert await listed(system, "--key", order_id) == [letter]

    dropped = await operate(system, "drop", "--key", order_id, *why, "--yes")
    assert (dropped.code, dropped.err) == (0, "")
    left, shown, again = await asyncio.gather(
        listed(system, "--key", order_id),
        operate(system, "show", letter["id"]),
        operate(system, "retry", letter["id"]),
    )
    assert left == []
    assert "done    dropped by " in shown.out
    assert " UTC: somebody's test\n" in shown.out
    assert (again.code, "nothing is done about it again" in again.out) == (0, True)


async def test_an_interrupted_retry_is_done_with_the_letter_in_hand_and_no_other(system: System) -> None:
    order_id = new_sku("order")
    poison = half_an_order(order_id)
    first, second = await bury(system, poison, poison)
    before = await sizes(system, *TOPICS)
    # At once, for one by one it would end by itself when the first has come back; so it waits for its rate.
    process = await begin(system, "retry", "--key", order_id, "--force", "--rate", "0.01")
    one_more = {topic: size + 1 for topic, size in before.items()}
    await until(partial(sizes, system, *TOPICS), lambda now: now == one_more)
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    assert (ended.code, ended.err) == (130, "")
    assert "Interrupted: 1 of 2 were put back." in ended.out
    left = [letter["id"] for letter in await listed(system, "--key", order_id)]
    assert second["id"] in left
    assert first["id"] not in left


async def test_a_record_too_large_for_a_letter_is_put_back_from_where_it_came(system: System) -> None:
    order_id = new_sku("order")
    poison = replace(half_an_order(order_id), value=b"x" * 2_000_000)
    before = await sizes(system, "DEAD_LETTERS")
    await asyncio.to_thread(
        spread, system, [poison], {"message.max.bytes": 3_000_000, "compression.type": "lz4"}
    )
    await until(partial(sizes, system, "DEAD_LETTERS"), lambda now: now != before)
    letter = (await listed(system, "--topic", "ORDER_CREATED"))[-1]
    shown, raw = await asyncio.gather(
        operate(system, "show", letter["id"]), operate(system, "show", letter["id"], "--raw")
    )
    assert "too large for a letter" in shown.out
    assert raw.out.encode() == poison.value
    ended = await operate(system, "retry", letter["id"])
    assert (ended.code, ended.err) == (1, "")
    assert ": came back as letter" in ended.out


async def test_a_letter_of_a_topic_that_is_gone_can_only_be_dropped(system: System) -> None:
    key = new_sku("gone")
    letter_id = await forge(system, key, "NO_LONGER_THERE")
    refused = await operate(system, "retry", letter_id)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        f"error: letter {letter_id} came from NO_LONGER_THERE/0, which is no place of messages (any more):"
        " it can only be dropped\n"
    )
    assert (await operate(system, "drop", letter_id, "--reason", "gone", "--yes")).code == 0
    assert await listed(system, "--key", key) == []


async def test_a_record_that_no_worker_takes_in_is_not_called_mended(system: System) -> None:
    letter_id = await forge(system, new_sku("unread"), "NOTIFICATION_EVENTS")
    ended = await operate(system, "retry", letter_id, "--wait", "0.5")
    assert (ended.code, ended.err) == (1, "")
    assert ": not taken in yet" in ended.out


async def steps(shop: Shop, order_id: str) -> list[str]:
    """Return the types of the steps of an order's timeline."""
    status, timeline = await shop.get(f"/orders/{order_id}/events")
    assert status == 200, timeline
    return [step["type"] for step in timeline["events"]]


async def test_a_timeline_shows_a_letter_about_its_order_also_after_the_worker_s_disk_is_lost(
    system: System, worker: str, shop: Shop
) -> None:
    sku = new_sku()
    await shop.restock(sku, 1)
    order_id = (await shop.buy(order(item(sku))))["order_id"]
    before = await steps(shop, order_id)
    poison = replace(half_an_order(order_id), topic="PAYMENT_REQUESTED")
    (letter,) = await bury(system, poison)

    status, timeline = await shop.get(f"/orders/{order_id}/events")
    assert status == 200
    *others, shown = timeline["events"]
    assert [step["type"] for step in others] == before
    assert shown["since_previous_ms"] >= 0
    assert shown == {
        "event_id": f"PAYMENT_REQUESTED/{poison.partition}/{letter['offset']}",
        "type": "DEAD_LETTER",
        "about": "PAYMENT_REQUESTED",
        "at": shown["at"],
        "causation_id": None,
        "since_previous_ms": shown["since_previous_ms"],
    }

    port = int(worker.rsplit(":", 1)[1])
    await asyncio.to_thread(system.workers[port].kill)
    (folder,) = (system.folder / "data").glob(f"worker-*-{port}")
    await asyncio.to_thread(shutil.rmtree, folder)
    await system.worker(port)
    assert await shop.get(f"/orders/{order_id}/events") == (200, timeline)


async def test_an_order_that_never_came_about_has_its_letter_for_a_timeline(
    system: System, shop: Shop
) -> None:
    order_id = new_sku("order")
    await bury(system, half_an_order(order_id))
    assert await steps(shop, order_id) == ["DEAD_LETTER"]
    assert (await shop.get(f"/orders/{order_id}"))[0] == 404
    assert (await shop.get(f"/orders/{new_sku('order')}/events"))[0] == 404


async def test_a_request_for_stock_is_not_in_its_order_s_timeline_and_is_found_by_its_bytes(
    system: System, shop: Shop
) -> None:
    sku, order_id = new_sku(), new_sku("order")
    key = sku.encode()
    value = b'{"order_id": "%b", not json' % order_id.encode()
    await bury(
        system, Poison("INVENTORY_REQUESTED", partition_of(key, PARTITIONS), key, value, "Undecodable")
    )
    assert (await shop.get(f"/orders/{order_id}/events"))[0] == 404
    assert [letter["key"] for letter in await listed(system, "--order", order_id)] == [sku]
