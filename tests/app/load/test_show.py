import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.e2e.system import HOST, free_port

DEADLINE_S = 60


class Till:
    """Accept orders, refuse every fourth, and remember how many came."""

    def __init__(self) -> None:
        self.came = 0
        self.has_customers = asyncio.Event()

    async def post(self, request: web.Request) -> web.Response:
        """Answer an order."""
        await request.json()
        self.came += 1
        self.has_customers.set()
        status = 503 if self.came % 4 == 0 else 202
        return web.json_response({"order_id": str(self.came)}, status=status)


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
async def url(till: Till) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/orders", till.post)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", "load", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_load_is_offered_and_shown_as_tables_and_as_json(
    till: Till, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "load.json"
    arguments = ("--rate", "200", "--seconds", "1", "--no-settle", "--stock", "0", "--json", str(file))
    code, out, err = await end(await start(*arguments, "--url", url, "--url", url))
    assert (code, err, till.came) == (0, "", 200)
    found = json.loads(file.read_text("utf-8"))
    counts = {
        name: found[name] for name in ("offered", "sent", "accepted", "unavailable", "unknown", "not_sent")
    }
    assert counts == {
        "offered": 200, "sent": 200, "accepted": 150, "unavailable": 50, "unknown": 0, "not_sent": 0
    }  # fmt: skip
    assert found["answers"]["202"]["count"] == 150
    assert found["answers"]["other"]["count"] == 50
    assert found["unsettled"] is None
    assert "answer 202" in out
    assert max(map(len, out.splitlines())) <= 80


async def test_ctrl_c_ends_the_load_with_the_table_of_what_was_done(till: Till, url: str) -> None:
    process = await start("--rate", "50", "--seconds", "3600", "--no-settle", "--stock", "0", "--url", url)
    async with asyncio.timeout(DEADLINE_S):
        await till.has_customers.wait()
    process.send_signal(signal.SIGINT)
    code, out, err = await end(process)
    assert (code, err) == (0, "")
    assert "answer 202" in out
    assert "Interrupted." in out


async def test_where_nobody_listens_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://{HOST}:{free_port()}"
    arguments = ("--rate", "1", "--seconds", "1", "--no-settle", "--stock", "0", "--url", url)
    code, _, err = await end(await start(*arguments, "--json", str(tmp_path / "load.json")))
    assert code == 1
    assert err.startswith(f"error: nobody answers at {url}: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "load.json").exists()


async def test_a_file_that_cannot_be_written_is_one_sentence_behind_the_tables(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "missing" / "load.json"
    arguments = ("--rate", "10", "--seconds", "0.5", "--no-settle", "--stock", "0", "--json", str(file))
    code, out, err = await end(await start(*arguments, "--url", url))
    assert code == 1
    assert "answer 202" in out
    assert err == f"error: --json {file}: No such file or directory\n"
