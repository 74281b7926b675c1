"""The HTTP client against a server that sends what the test says, byte by byte."""

import asyncio
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from app import http_client
from app.http_client import CallFailed, HttpClient, Reply

HOST = "127.0.0.1"
DEADLINE_S = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answer each request with the next script; several pieces go out one after another, None ends it."""

    def __init__(self) -> None:
        self.scripts: list[tuple[bytes | None, ...]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = 0
        self.under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.writers: list[asyncio.StreamWriter] = []

    def script(self, *pieces: bytes | None) -> None:
        self.scripts.append(pieces)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended += 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        if b"Content-Length: " in head:
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        self.under_way += 1
        await self.gate.wait()
        self.under_way -= 1
        for piece in self.scripts.pop(0) if self.scripts else (OK,):
            if piece is None:
                return False
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        return True


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, URL]]:
    played = Server()
    listening = await asyncio.start_server(played.serve, HOST, 0)
    yield played, URL(f"http://{HOST}:{listening.sockets[0].getsockname()[1]}")
    played.gate.set()
    listening.close()
    for writer in played.writers:
        writer.close()
    async with asyncio.timeout(DEADLINE_S):
        while played.ended < played.connections:  # noqa: ASYNC110  # a count tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def played(server: tuple[Server, URL]) -> Server:
    return server[0]


@pytest.fixture
async def client(server: tuple[Server, URL]) -> AsyncIterator[HttpClient]:
    opened = HttpClient(server[1], limit=3, timeout_s=DEADLINE_S)
    yield opened
    opened.close()


async def get(client: HttpClient) -> Reply:
    return await client.call("GET", "/", {})


async def settled() -> None:
    """Let what is on its way arrive."""
    await asyncio.sleep(0.1)


async def test_a_request_goes_out_as_it_must_and_its_answer_comes_back(
    client: HttpClient, played: Server, server: tuple[Server, URL]
) -> None:
    played.script(b"HTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello")
    reply = await client.call("POST", "/charges", {"Idempotency-Key": "order-1"}, b'{"a":1}')
    assert (reply.status, reply.headers[b"x-one"], reply.body) == (201, b"1", b"hello")
    head, _, body = played.requests[0].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /charges HTTP/1.1",
        f"Host: {HOST}:{server[1].port}",
        "Accept: application/json",
        "Idempotency-Key: order-1",
        "Content-Type: application/json",
        "Content-Length: 7",
    ]
    assert body == b'{"a":1}'


async def test_credentials_of_the_url_are_sent(server: tuple[Server, URL]) -> None:
    client = HttpClient(server[1].with_user("ada").with_password("s3"), limit=1, timeout_s=DEADLINE_S)
    await get(client)
    client.close()
    assert b"Authorization: Basic " + b64encode(b"ada:s3") in server[0].requests[0]


async def test_a_header_cannot_smuggle_in_another(client: HttpClient, played: Server) -> None:
    with pytest.raises(ValueError, match="end of a line"):
        await client.call("GET", "/", {"Idempotency-Key": "a\r\nX: y"})
    assert played.requests == []


async def test_calls_follow_each_other_over_one_connection(client: HttpClient, played: Server) -> None:
    for _ in range(5):
        assert (await get(client)).body == b"ok"
    assert played.connections == 1


WHOLE = {
    "in one piece": (OK,),
    "byte by byte": tuple(OK[at : at + 1] for at in range(len(OK))),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
        b"1\r\nk\r\n0\r\n\r\n",
    ),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
    "right behind an interim answer": (b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + OK,),
}


@pytest.mark.parametrize("pieces", WHOLE.values(), ids=WHOLE)
async def test_a_whole_answer_leaves_its_connection_for_the_next_call(
    client: HttpClient, played: Server, pieces: tuple[bytes, ...]
) -> None:
    played.script(*pieces)
    for _ in range(2):
        reply = await get(client)
        assert (reply.status, reply.body) == (200, b"ok")
    assert played.connections == 1


async def test_an_answer_without_a_body_is_whole(client: HttpClient, played: Server) -> None:
    played.script(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await get(client)).status == 204
    assert (await get(client)).body == b"ok"
    assert played.connections == 1


LAST = {
    "that says so": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",),
    "that ends with its connection": (b"HTTP/1.1 200 OK\r\n\r\no", b"k", None),
}


@pytest.mark.parametrize("pieces", LAST.values(), ids=LAST)
async def test_an_answer_may_be_the_last_of_its_connection(
    client: HttpClient, played: Server, pieces: tuple[bytes | None, ...]
) -> None:
    played.script(*pieces)
    for _ in range(2):
        assert (await get(client)).body == b"ok"
    assert played.connections == 2


NO_ANSWER = {
    "a connection that ends": (None,),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", None),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", None),
    "chunks without an end": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None),
    "an interim answer alone": (b"HTTP/1.1 100 Continue\r\n\r\n", None),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n",),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",),
}


@pytest.mark.parametrize("pieces", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_what_is_no_whole_answer_fails_the_call_and_is_not_repeated(
    client: HttpClient, played: Server, pieces: tuple[bytes | None, ...]
) -> None:
    played.script(*pieces)
    with pytest.raises(CallFailed):
        await get(client)
    assert len(played.requests) == 1
    assert (await get(client)).body == b"ok"
    assert played.connections == 2


async def test_an_answer_that_is_far_too_long_fails_the_call(
    client: HttpClient, played: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1_000)
    played.script(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 400] * 4)
    with pytest.raises(CallFailed, match="longer than 1000 bytes"):
        await get(client)


STALE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"


async def test_a_second_answer_right_behind_the_first_is_never_taken_for_the_next(
    client: HttpClient, played: Server
) -> None:
    played.script(OK + STALE)
    assert [(await get(client)).body for _ in range(2)] == [b"ok", b"ok"]
    assert played.connections == 2


async def test_a_second_answer_that_comes_later_is_never_taken_for_the_next(
    client: HttpClient, played: Server
) -> None:
    played.script(OK, STALE)
    assert (await get(client)).body == b"ok"
    await settled()
    assert (await get(client)).body == b"ok"
    assert played.connections == 2


async def test_the_connection_that_rested_longest_is_used_next(client: HttpClient, played: Server) -> None:
    played.gate.clear()
    calls = [asyncio.create_task(get(client)) for _ in range(3)]
    await settled()
    played.gate.set()
    wires = [(await call).wire for call in calls]
    assert {(await get(client)).wire for _ in range(3)} == set(wires)


async def test_an_answer_that_is_distrusted_takes_its_connection_with_it(
    client: HttpClient, played: Server
) -> None:
    (await get(client)).distrust()
    assert (await get(client)).body == b"ok"
    assert played.connections == 2


async def test_a_connection_that_the_server_ended_is_not_used_again(
    client: HttpClient, played: Server
) -> None:
    await get(client)
    played.writers[0].close()
    await settled()
    assert (await get(client)).body == b"ok"
    assert played.connections == 2


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again(
    client: HttpClient, played: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await get(client)
    monkeypatch.setattr(http_client, "KEPT_S", 0.0)
    await get(client)
    assert played.connections == 2


async def test_a_call_that_takes_too_long_ends_with_its_connection(server: tuple[Server, URL]) -> None:
    played, url = server
    client = HttpClient(url, limit=1, timeout_s=0.05)
    played.gate.clear()
    with pytest.raises(TimeoutError):
        await get(client)
    played.gate.set()
    await settled()
    assert (await get(client)).body == b"ok"
    assert played.connections == 2
    client.close()


async def test_each_call_over_a_kept_connection_has_its_own_time(server: tuple[Server, URL]) -> None:
    played, url = server
    client = HttpClient(url, limit=3, timeout_s=0.4)
    await asyncio.gather(*(get(client) for _ in range(3)))
    played.gate.clear()
    loop = asyncio.get_running_loop()

    async def wait_until_late(start_s: float) -> float:
        await asyncio.sleep(start_s)
        began = loop.time()
        with pytest.raises(TimeoutError):
            await get(client)
        return loop.time() - began

    waited = await asyncio.gather(*map(wait_until_late, (0.0, 0.1, 0.3)))
    assert played.connections == 3
    assert all(0.39 < each < 5 for each in waited), waited
    played.gate.set()
    await settled()
    assert (await get(client)).body == b"ok"
    client.close()


async def test_an_answer_in_time_is_not_cut_by_the_time_of_the_call_before(
    server: tuple[Server, URL],
) -> None:
    played, url = server
    client = HttpClient(url, limit=1, timeout_s=0.5)
    for _ in range(2):
        await get(client)
    await asyncio.sleep(0.3)
    played.gate.clear()
    call = asyncio.create_task(get(client))
    await asyncio.sleep(0.3)
    played.gate.set()
    assert (await call).body == b"ok"
    assert played.connections == 1
    client.close()


async def test_a_call_that_is_cancelled_ends_with_its_connection(client: HttpClient, played: Server) -> None:
    played.gate.clear()
    call = asyncio.create_task(get(client))
    await settled()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    played.gate.set()
    assert (await get(client)).body == b"ok"
    assert played.connections == 2


async def test_no_more_calls_than_the_limit_are_made_at_once(client: HttpClient, played: Server) -> None:
    played.gate.clear()
    calls = [asyncio.create_task(get(client)) for _ in range(20)]
    await settled()
    assert (played.under_way, played.connections) == (3, 3)
    played.gate.set()
    assert {reply.body for reply in await asyncio.gather(*calls)} == {b"ok"}
    assert played.connections == 3


async def test_a_server_that_is_not_there_fails_the_call(server: tuple[Server, URL]) -> None:
    listening = await asyncio.start_server(server[0].serve, HOST, 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    client = HttpClient(URL(f"http://{HOST}:{port}"), limit=1, timeout_s=DEADLINE_S)
    with pytest.raises(CallFailed, match=f"no connection to {HOST}:{port}"):
        await get(client)


async def test_closing_fails_what_is_under_way_and_what_comes_later(
    client: HttpClient, played: Server
) -> None:
    played.gate.clear()
    call = asyncio.create_task(get(client))
    await settled()
    client.close()
    for late in (call, get(client)):
        with pytest.raises(CallFailed, match="the client is closed"):
            await late


async def test_closing_fails_a_call_that_has_no_connection_yet(client: HttpClient, played: Server) -> None:
    call = asyncio.create_task(get(client))
    await asyncio.sleep(0)
    client.close()
    with pytest.raises(CallFailed, match="the client is closed"):
        await call
    assert played.requests == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for localhost that nobody has signed."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own words
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


async def test_https_is_spoken_with_those_who_prove_who_they_are(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    played = Server()
    listening = await asyncio.start_server(played.serve, "localhost", 0, ssl=context)
    url = URL(f"https://localhost:{listening.sockets[0].getsockname()[1]}")
    stranger = HttpClient(url, limit=1, timeout_s=DEADLINE_S)
    with pytest.raises(CallFailed, match="certificate verify failed"):
        await get(stranger)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    friend = HttpClient(url, limit=1, timeout_s=DEADLINE_S)
    assert [(await get(friend)).body for _ in range(2)] == [b"ok", b"ok"]
    assert len(played.requests) == 2
    friend.close()
    listening.close()
    await settled()
