"""The stages there are, which of them a worker runs, and what the group of such workers is called."""

from collections.abc import Collection
from types import MappingProxyType

AGENTS = MappingProxyType(
    {
        "orders": ("orders", "deadlines"),
        "inventory": ("inventory",),
        "payments": ("payments",),
        "analytics": ("analytics",),
        "notifications": ("notifications",),
        "transfer": ("transfer",),
    }
)
"""The modules of agents that make up each stage."""

STAGES = tuple(AGENTS)
SWITCHED = ("notifications", "transfer")
"""Those of them that are off until a setting switches them on."""

ALL = "all"
SEPARATOR = ","
GROUP = "orders"
"""The consumer group of the workers that run every stage, and how the others' names begin."""

CHOICE = f"^({ALL}|({'|'.join(STAGES)})({SEPARATOR}({'|'.join(STAGES)}))*)$"
"""How stages are chosen, as a pattern."""


def chosen(choice: str) -> tuple[str, ...]:
    """Return the stages of a choice, in their own order, each once."""
    wanted = STAGES if choice == ALL else choice.split(SEPARATOR)
    return tuple(stage for stage in STAGES if stage in wanted)


def group_of(stages: Collection[str]) -> str:
    """Return the name of the group: workers with the same stages share one, and their partitions."""
    return GROUP if set(stages) == set(STAGES) else "-".join((GROUP, *stages))


def is_group(name: str) -> bool:
    """Tell whether workers of some of the stages have this group."""
    first, *stages = name.split("-")
    return first == GROUP and set(stages) <= set(STAGES)


def stages_of(group: str) -> tuple[str, ...]:
    """Return the stages that the workers of a group run."""
    return STAGES if group == GROUP else tuple(group.split("-")[1:])
