"""Where and with what a benchmark ran: the part of its results that makes them comparable."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from app.broker.jars import KAFKA_VERSION

PACKAGES = ("aiokafka", "confluent-kafka", "faust-streaming", "mode-streaming", "orjson", "rocksdict")
"""Packages of the project whose versions move the figures; what an engine has of its own, it says itself."""


def describe() -> Mapping[str, Any]:
    """Return the machine, the versions, the date and the commit."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text("utf-8")),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory_mib(Path("/proc/meminfo").read_text("utf-8")),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), "kafka": KAFKA_VERSION, **versions(*PACKAGES)},
    }


def versions(*packages: str) -> Mapping[str, str]:
    """Return the versions of these packages, as far as they are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit that is checked out, with a mark where files differ from it; empty without git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


def cpu_model(cpuinfo: str) -> str:
    """Return the name of the processor out of /proc/cpuinfo, else the architecture."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1] if found else platform.machine()


def memory_mib(meminfo: str) -> int:
    """Return the machine's memory out of /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) // 1024 if found else 0
