"""The engines of the scenario `reference`: each is a process that runs the same pipeline in its own way."""

from dataclasses import dataclass

CHANGELOGS = ("stock-changelog", "orders-changelog")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Be one engine: where its code is, its consumer group, and how much it is given.

    `changelogs` are made for it, beside the topics of the pipeline; `rate` is of the steady part, in orders
    a second.
    """

    name: str
    module: str
    group: str
    venv: str = ".venv"
    changelogs: tuple[str, ...] = CHANGELOGS
    warm_up: int = 5_000
    orders: int = 50_000
    rate: int = 2_000


HANDWRITTEN = Engine(name="handwritten", module="bench.engines.handwritten", group="bench-handwritten")
KERNEL = Engine(name="kernel", module="bench.engines.kernel", group="orders")
QUIX = Engine(
    name="quix",
    module="bench.engines.quix",
    group="bench-quix",
    venv=".venv-bench",
    changelogs=(),  # it makes them itself
)
FAUST = Engine(
    name="faust",
    module="bench.engines.plain_faust",
    group="bench-faust",
    changelogs=tuple(f"bench-faust-{name}" for name in CHANGELOGS),
    warm_up=500,
    orders=3_000,
    rate=100,
)

ENGINES = (HANDWRITTEN, KERNEL, QUIX, FAUST)
