"""Kafka's jars: fetched once into the user's cache, and exactly those that were tested."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from app.errors import BrokerRefused

KAFKA_VERSION = "4.1.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",  # Kafka brings no log writer: without one its errors go nowhere
)
SHA256 = "1b99f073a43e87b2736a310489b83812e46b68a9b65835edd475056461ae1646"
"""Digest of all jars together; `fetch` names the new one when the coordinates change."""

DOWNLOADS = 4


def fetch() -> Path:
    """Return the folder of the jars, downloaded unless they are already there and whole.

    Raises:
        BrokerRefused: the network, the disk or a package is missing, or the jars are not the expected ones.
    """
    target = folder()
    if target.is_dir() and _digest(target) == SHA256:
        return target
    if find_spec("jgo") is None:
        raise BrokerRefused("the package jgo, which fetches Kafka's jars, is not installed: run `make setup`")
    try:
        _download(target)
    except (OSError, RuntimeError) as error:
        raise BrokerRefused(
            f"Kafka's jars can't be fetched into {target}: {error}; see to that, then run `make setup`"
        ) from error
    return target


def folder() -> Path:
    """Return where the jars are, or would be: they are there all together or not at all."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "order-saga", f"kafka-{KAFKA_VERSION}-{SHA256[:8]}")


def jars() -> Sequence[Path]:
    """Return the jars of the class path.

    Raises:
        BrokerRefused: they have not been fetched.
    """
    if not folder().is_dir():
        raise BrokerRefused(f"Kafka's jars are not in {folder()}: run `make setup`")
    return _jars(folder())


def _download(target: Path) -> None:
    """Put the jars in place at one stroke: an interrupted download leaves nothing behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fetched = Path(scratch, "jars")
        fetched.mkdir()
        for jar in _resolve(Path(scratch, "repository")):
            jar.rename(fetched / jar.name)
        if (digest := _digest(fetched)) != SHA256:
            raise BrokerRefused(
                f"the jars fetched for Kafka {KAFKA_VERSION} have the digest {digest}, expected {SHA256}: a"
                " proxy alters them, or the digest in app/broker/jars.py is not of these coordinates"
            )
        shutil.rmtree(target, ignore_errors=True)
        fetched.rename(target)


def _resolve(repository: Path) -> list[Path]:
    # Not jgo.build(): it would download a JDK of its own just to sort the jars into modules.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415  # a development package

    context = MavenContext(resolver=PythonResolver(), repo_cache=repository)
    wanted = [context.create_dependency(coordinate) for coordinate in COORDINATES]
    with Console().status(f"Looking up what Kafka {KAFKA_VERSION} consists of"):
        direct, transitive = context.resolver.resolve(wanted)
    artifacts = [dependency.artifact for dependency in (*direct, *transitive)]
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        paths = pool.map(_fetch_artifact, artifacts)
        return list(track(paths, f"Fetching Kafka {KAFKA_VERSION}", total=len(artifacts)))


def _fetch_artifact(artifact: Any) -> Path:
    return Path(artifact.resolve())


def _jars(place: Path) -> Sequence[Path]:
    return sorted(place.glob("*.jar"))


def _digest(place: Path) -> str:
    total = hashlib.sha256()
    for jar in _jars(place):
        with jar.open("rb") as file:
            total.update(f"{jar.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
