"""Prometheus' own word on its configuration and rules, where promtool is there: `make promtool`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.promql import DEPLOY, RULES

HOME = DEPLOY / "prometheus"
BESIDE = Path(sys.executable).parent
PROMTOOL = shutil.which("promtool", path=str(BESIDE)) or shutil.which("promtool") or ""
LIMIT_S = 100

pytestmark = pytest.mark.skipif(not PROMTOOL, reason="promtool is not there: `make promtool` gets it")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", str(HOME / "prometheus.yml")),
        ("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)),
        *(("test", "rules", str(path)) for path in sorted((HOME / "tests").glob("*.yml"))),
    ],
    ids=lambda arguments: " ".join(Path(each).name for each in arguments),
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(  # noqa: S603  # nothing of it comes from outside
        [PROMTOOL, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
