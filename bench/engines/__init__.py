"""The engines of the scenario `reference`: each is a process that runs the same pipeline in its own way."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """Be one engine: where its code is, its consumer group, and how much it is given.

    `rate` is of the steady part, in orders a second.
    """

    name: str
    module: str
    group: str
    venv: str
    orders: int
    warm_up: int
    rate: int


HANDWRITTEN = Engine(
    "handwritten", "bench.engines.handwritten", "bench-handwritten", ".venv", 50_000, 5_000, 2_000
)
KERNEL = Engine("kernel", "bench.engines.kernel", "orders", ".venv", 50_000, 5_000, 2_000)
QUIX = Engine("quix", "bench.engines.quix", "bench-quix", ".venv-bench", 50_000, 5_000, 2_000)
FAUST = Engine("faust", "bench.engines.plain_faust", "bench-faust", ".venv", 3_000, 500, 500)

ENGINES = (HANDWRITTEN, KERNEL, QUIX, FAUST)
