"""The stages that a worker runs, and the name of its group."""

import pkgutil
from itertools import chain

import pytest

import agents
from app.settings import Settings
from app.stages import AGENTS, STAGES, chosen, group_of, is_group


def test_every_agent_is_part_of_one_stage() -> None:
    found = [module.name for module in pkgutil.iter_modules(agents.__path__)]
    assert sorted(chain(*AGENTS.values())) == sorted(found)


@pytest.mark.parametrize(
    ("choice", "stages"),
    [("all", STAGES), ("payments,orders", ("orders", "payments")), ("orders,orders", ("orders",))],
)
def test_a_choice_is_known_in_one_order(choice: str, stages: tuple[str, ...]) -> None:
    assert Settings(stages=choice).stage_names == chosen(choice) == stages


@pytest.mark.parametrize(
    ("choice", "group"),
    [
        ("all", "orders"),
        (",".join(STAGES), "orders"),
        ("orders,inventory,payments,analytics", "orders-orders-inventory-payments-analytics"),
        ("inventory", "orders-inventory"),
        ("orders", "orders-orders"),
        ("payments,inventory", "orders-inventory-payments"),
    ],
)
def test_workers_of_the_same_stages_are_of_one_group(choice: str, group: str) -> None:
    assert Settings(stages=choice).group == group_of(chosen(choice)) == group
    assert is_group(group)


@pytest.mark.parametrize("name", ["order", "orders-billing", "my-orders", "orders-"])
def test_other_groups_are_not_ours(name: str) -> None:
    assert not is_group(name)


@pytest.mark.parametrize("choice", ["", "order", "orders;inventory", "orders,", "all,orders"])
def test_no_other_choice_is_taken(choice: str) -> None:
    with pytest.raises(ValueError, match="stages"):
        Settings(stages=choice)
