import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.errors import SimulatorRefused
from app.simulator import HOST, KEY_HEADER, LOAD, Ledger, Load, Token, create_app, run

Provider = TestClient[Any, Any]
DEADLINE_S = 30
LOOK_S = 0.01

UNFIT_BODIES = [
    {"amount": "500", "currency": "EUR", "token": "tok_ok"},
    {"amount": -1, "currency": "EUR", "token": "tok_ok"},
    {"amount": 500, "currency": "euro", "token": "tok_ok"},
    {"amount": 500, "currency": "EUR"},
    {"amount": 500, "currency": "EUR", "token": "tok_ok", "surprise": True},
]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def provider(ledger: Ledger) -> AsyncIterator[Provider]:
    async with TestClient(TestServer(create_app(ledger))) as client:
        yield client


async def post(
    provider: Provider, path: str, key: str, body: dict[str, object]
) -> tuple[int, dict[str, Any]]:
    async with provider.post(path, json=body, headers={KEY_HEADER: key}) as reply:
        return reply.status, await reply.json()


async def charge(
    provider: Provider, key: str = "order-1", token: str = Token.OK, amount: int = 500
) -> tuple[int, dict[str, Any]]:
    return await post(provider, "/charges", key, {"amount": amount, "currency": "EUR", "token": token})


async def refund(
    provider: Provider, key: str = "refund-order-1", charged: str = "order-1", amount: int = 500
) -> tuple[int, dict[str, Any]]:
    return await post(provider, "/refunds", key, {"charge": charged, "amount": amount})


async def get(provider: Provider, path: str) -> tuple[int, dict[str, Any]]:
    async with provider.get(path) as reply:
        return reply.status, await reply.json()


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await happened():  # noqa: ASYNC110  # a server tells nobody
            await asyncio.sleep(LOOK_S)


async def test_tok_ok_completes(provider: Provider) -> None:
    status, answer = await charge(provider)
    assert status == 201
    assert answer["status"] == "completed"
    assert answer["idempotency_key"] == "order-1"


async def test_tok_declined_is_declined_with_a_reason(provider: Provider) -> None:
    status, answer = await charge(provider, token=Token.DECLINED)
    assert (status, answer["status"], answer["reason"]) == (402, "declined", "card_declined")


async def test_an_unknown_token_is_declined(provider: Provider) -> None:
    status, answer = await charge(provider, "order-1", "4242")
    assert (status, answer["reason"]) == (402, "unknown_token")


async def test_tok_flaky_fails_twice_and_then_completes(provider: Provider, ledger: Ledger) -> None:
    statuses = [(await charge(provider, token=Token.FLAKY))[0] for _ in range(4)]
    assert statuses == [503, 503, 201, 201]
    assert len(ledger.entries) == 1


async def test_tok_slow_charges_though_its_client_has_gone(provider: Provider, ledger: Ledger) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(charge(provider, token=Token.SLOW), timeout=0.1)
    assert ledger.entries == ()

    async def charged() -> bool:
        return (await get(provider, "/charges/order-1"))[0] == 200

    await until(charged)


async def test_tok_timeout_charges_and_answers_no_post_but_a_get(provider: Provider) -> None:
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(charge(provider, token=Token.TIMEOUT), timeout=0.1)
    status, answer = await get(provider, "/charges/order-1")
    assert (status, answer["status"]) == (200, "completed")


async def test_a_call_held_open_ends_with_its_client(provider: Provider) -> None:
    load: Load = provider.app[LOAD]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(charge(provider, token=Token.TIMEOUT), timeout=0.1)

    async def ended() -> bool:
        return load.now == 0

    await until(ended)


async def test_tok_duplicate_answers_twice_over_one_connection(provider: Provider, ledger: Ledger) -> None:
    body = json.dumps({"amount": 500, "currency": "EUR", "token": Token.DUPLICATE})
    reader, writer = await asyncio.open_connection(HOST, provider.port)
    head = (
        f"POST /charges HTTP/1.1\r\nHost: x\r\n{KEY_HEADER}: order-1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write((head + body).encode())
    first, second = await read_answer(reader), await read_answer(reader)
    writer.close()
    await writer.wait_closed()
    assert first == second
    assert b" 201 Created" in first
    assert len(ledger.entries) == 1


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
    return head + await reader.readexactly(int(length))


async def test_a_repeat_gets_the_first_answer_and_moves_no_money(provider: Provider, ledger: Ledger) -> None:
    assert await charge(provider) == await charge(provider)
    assert len(ledger.entries) == 1


@pytest.mark.parametrize("token", [Token.OK, Token.SLOW])
async def test_repeats_at_once_make_one_charge(provider: Provider, ledger: Ledger, token: Token) -> None:
    answers = await asyncio.gather(*(charge(provider, token=token) for _ in range(20)))
    assert {answer["id"] for _, answer in answers} == {ledger.entries[0].id}
    assert len(ledger.entries) == 1


async def test_two_keys_show_as_a_double_charge(provider: Provider) -> None:
    await charge(provider, "order-1")
    await charge(provider, "order-1-again")
    _, listing = await get(provider, "/charges")
    assert [entry["amount"] for entry in listing["entries"]] == [500, 500]


async def test_a_key_used_for_another_charge_is_a_conflict(provider: Provider, ledger: Ledger) -> None:
    await charge(provider, amount=500)
    status, problem = await charge(provider, amount=501)
    assert (status, problem["title"]) == (409, "Conflict")
    assert len(ledger.entries) == 1


async def test_a_charge_is_given_back_once(provider: Provider, ledger: Ledger) -> None:
    await charge(provider)
    assert await refund(provider) == await refund(provider)
    assert [entry.kind for entry in ledger.entries] == ["charge", "refund"]
    assert (await get(provider, "/refunds/refund-order-1"))[1]["charge"] == "order-1"


async def test_no_more_is_given_back_than_was_charged(provider: Provider) -> None:
    await charge(provider, amount=500)
    assert (await refund(provider, "refund-a", amount=300))[0] == 201
    assert (await refund(provider, "refund-b", amount=201))[0] == 422
    assert (await refund(provider, "refund-c", amount=200))[0] == 201


async def test_what_was_not_charged_is_not_given_back(provider: Provider) -> None:
    await charge(provider, token=Token.DECLINED)
    assert (await refund(provider))[0] == 422
    assert (await refund(provider, charged="order-2"))[0] == 422


async def test_a_refund_key_used_for_another_refund_is_a_conflict(provider: Provider) -> None:
    await charge(provider)
    await refund(provider, amount=200)
    assert (await refund(provider, amount=300))[0] == 409


async def test_tok_refund_flaky_completes_and_its_refund_fails_seven_times_and_then_completes(
    provider: Provider, ledger: Ledger
) -> None:
    assert (await charge(provider, token=Token.REFUND_FLAKY))[0] == 201
    assert [(await refund(provider))[0] for _ in range(9)] == [503] * 7 + [201, 201]
    assert [entry.kind for entry in ledger.entries] == ["charge", "refund"]


async def test_while_they_are_to_fail_all_new_refunds_do_and_those_made_are_found(
    provider: Provider, ledger: Ledger
) -> None:
    for key in ("order-1", "order-2"):
        await charge(provider, key)
    await refund(provider)
    async with provider.put("/faults/refunds", json={"failing": True}) as reply:
        assert (reply.status, await reply.json()) == (200, {"failing": True})
    assert [(await refund(provider, "refund-order-2", "order-2"))[0] for _ in range(3)] == [503] * 3
    assert (await refund(provider))[0] == 201
    assert len(ledger.entries) == 3
    async with provider.put("/faults/refunds", json={"failing": False}):
        assert (await refund(provider, "refund-order-2", "order-2"))[0] == 201


async def test_a_switch_without_a_position_is_refused(provider: Provider) -> None:
    async with provider.put("/faults/refunds", json={}) as reply:
        assert reply.status == 422


async def test_the_listing_tells_everything_about_each_entry_in_order(provider: Provider) -> None:
    await charge(provider)
    await charge(provider, "order-2", token=Token.DECLINED)
    await refund(provider)
    _, listing = await get(provider, "/charges")
    told = ("kind", "idempotency_key", "amount", "currency", "token", "outcome", "reason", "charge")
    assert [tuple(entry[name] for name in told) for entry in listing["entries"]] == [
        ("charge", "order-1", 500, "EUR", "tok_ok", "completed", None, None),
        ("charge", "order-2", 500, "EUR", "tok_declined", "declined", "card_declined", None),
        ("refund", "refund-order-1", 500, "EUR", "tok_ok", "completed", None, "order-1"),
    ]
    assert all(entry["at"].endswith("Z") for entry in listing["entries"])


@pytest.mark.parametrize("path", ["/charges/order-1", "/refunds/order-1", "/nowhere"])
async def test_what_is_unknown_is_a_404_problem(provider: Provider, path: str) -> None:
    async with provider.get(path) as reply:
        assert reply.content_type == "application/problem+json"
        assert (await reply.json())["status"] == reply.status == 404


@pytest.mark.parametrize("body", UNFIT_BODIES)
async def test_an_unfit_body_is_refused_with_its_faults(provider: Provider, body: dict[str, object]) -> None:
    status, problem = await post(provider, "/charges", "order-1", body)
    assert status == 422
    assert problem["errors"][0]["loc"]


async def test_a_body_that_is_no_json_is_a_bad_request(provider: Provider) -> None:
    async with provider.post("/charges", data=b"{", headers={KEY_HEADER: "order-1"}) as reply:
        assert reply.status == 400


async def test_a_charge_without_a_key_is_a_bad_request(provider: Provider, ledger: Ledger) -> None:
    body = {"amount": 500, "currency": "EUR", "token": "tok_ok"}
    async with provider.post("/charges", json=body) as reply:
        assert reply.status == 400
    assert ledger.entries == ()


async def test_keys_and_charges_survive_a_restart(tmp_path: Path) -> None:
    listings = []
    for _ in range(2):
        ledger = Ledger(tmp_path / "ledger.jsonl")
        async with TestClient(TestServer(create_app(ledger))) as provider:
            await charge(provider)
            await refund(provider)
            listings.append(await get(provider, "/charges"))
        ledger.close()
    assert listings[0] == listings[1]
    assert len(listings[0][1]["entries"]) == 2


async def test_what_was_given_back_before_a_restart_is_not_given_back_again(tmp_path: Path) -> None:
    for key, expected in (("refund-a", 201), ("refund-b", 422)):
        ledger = Ledger(tmp_path / "ledger.jsonl")
        async with TestClient(TestServer(create_app(ledger))) as provider:
            await charge(provider)
            assert (await refund(provider, key))[0] == expected
        ledger.close()


@pytest.mark.parametrize("torn", [b'{"ki', b'{"kind":"charge","id":"ch_1'])
async def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(torn)
    ledger = Ledger(path)
    async with TestClient(TestServer(create_app(ledger))) as provider:
        await charge(provider)
    ledger.close()
    again = Ledger(path)
    again.close()
    assert again.entries == ledger.entries


@pytest.mark.parametrize("content", [b"somebody's notes", b"somebody's notes\n", b'{"kind":"charge"}\n'])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(SimulatorRefused, match=r"notes\.txt holds something that is no ledger"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_ledger_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulatorRefused, match="No such file or directory"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl")


def test_a_taken_port_is_refused_with_a_remedy() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            SimulatorRefused,
            match=rf"^port {port} of \S+: Address already in use; pick another with --port N$",
        ):
            run(port=port)


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "simulator", "--port", str(port)]
    command += ["--ledger", str(tmp_path / "ledger.jsonl")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as started:  # noqa: S603  # our own
        yield started
        started.kill()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_says_where_it_is_and_stops_cleanly_when_told(
    process: "subprocess.Popen[str]", told: signal.Signals
) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        ready = await asyncio.to_thread(process.stdout.readline)
    assert all(token in ready for token in Token)
    assert await end_with_a_call_held_open(process, ready.split(",")[0].rpartition(" ")[2], told) == 503
    output, errors = await asyncio.to_thread(process.communicate, timeout=DEADLINE_S)
    assert (process.returncode, output, errors) == (0, "", "")


async def end_with_a_call_held_open(process: "subprocess.Popen[str]", url: str, told: signal.Signals) -> int:
    async with aiohttp.ClientSession(url) as session, asyncio.TaskGroup() as calls:

        async def hold() -> int:
            body = {"amount": 500, "currency": "EUR", "token": Token.TIMEOUT}
            async with session.post("/charges", json=body, headers={KEY_HEADER: "order-1"}) as reply:
                return reply.status

        async def charged() -> bool:
            async with session.get("/charges/order-1") as reply:
                return reply.status == 200

        held = calls.create_task(hold())
        await until(charged)
        process.send_signal(told)
    return held.result()
