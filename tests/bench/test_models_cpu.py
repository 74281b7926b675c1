"""The pure part of the work, as `bench.models_cpu` runs it; how long it takes is not looked at."""

import pytest

from app.delivery.batch import Place
from bench import models_cpu
from models.stock import StockItem
from tables.inventory import items, state


@pytest.mark.parametrize("rhythm", [(), ("--batch", "2", "--pause-ms", "1")], ids=["at once", "with pauses"])
def test_every_order_comes_to_its_end_and_every_part_of_it_is_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rhythm: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.argv", ["models_cpu", "--orders", "5", "--rounds", "1", "--skus", "2", *rhythm])
    models_cpu.main()
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split()[-7:] == [*models_cpu.PARTS, "sum"]
    assert [row.split()[0] for row in rows] == [
        "ORDER_CREATED",
        "INVENTORY_REQUESTED",
        "INVENTORY_DEDUCTED",
        "PAYMENT_REQUESTED",
        "(charged)",
        "PAYMENT_COMPLETED",
        "INVENTORY_SALE_REQUESTED",
        "sum",
    ]
    assert last.startswith("the quickest round")


def test_what_was_saved_is_decoded_anew_as_a_later_batch_would() -> None:
    rows, item = models_cpu.Memory(), StockItem(sku="mug", available=3)
    rows.save(state, 0, b"item/mug", item, items, place=Place.LAST)
    loaded = rows.load(state, 0, b"item/mug", items)
    assert loaded == item
    assert loaded is not item
