"""The tests are put to the test: what would break the promise must make the named one fail."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.faults.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent.parent
LEFT_OUT = (".*", "__pycache__", "data")
"""What is in the folder of the source, and no source."""

TESTS_FAILED = 1


@pytest.fixture(scope="session")
async def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the source, in which all is well."""
    copy = tmp_path_factory.mktemp("copy") / "source"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    code, told = await outcome(copy, *{mutation.caught_by for mutation in MUTATIONS})
    assert code == 0, told
    return copy


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_a_mutation_is_caught(source: Path, mutation: Mutation) -> None:
    file = source / mutation.file
    original = file.read_text("utf-8")
    assert original.count(mutation.before) == 1, "void: the source is another by now"
    file.write_text(original.replace(mutation.before, mutation.after), "utf-8")
    try:
        code, told = await outcome(source, mutation.caught_by)
    finally:
        file.write_text(original, "utf-8")
    assert code == TESTS_FAILED, told
    assert "1 failed" in told, told  # and not: could not be set up


async def outcome(source: Path, *tests: str) -> tuple[int | None, str]:
    """Return the exit code of tests in the copy of the source, and what they told."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "-m", "full or not full")
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", "-m", "pytest", *options, *tests),
        cwd=source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await running.communicate()
    return running.returncode, told.decode("utf-8", "replace")
