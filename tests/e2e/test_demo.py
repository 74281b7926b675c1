"""`python -m app demo`: all from nothing, and in the end a line for each promise, with what came of it."""

from pathlib import Path

from app.processes import Command

DEADLINE_S = 110

KEPT = """\
 ✓ every unit sold belongs to a completed order, and what cancelled ones held is back
 ✓ 60 notifications delivered, one for each order that has ended
 ✓ 53 transfers received with valid signatures, one for each completed order
 ✓ GET /analytics/summary equals the audit of the topics: 60 orders, 53 completed, 7 cancelled, 0 refunded, 60 units
 ✓ 60 orders, 58 payments and 5 SKUs rebuilt from the topics equal the live tables
"""  # noqa: E501  # as it is shown
"""Of 60 orders, two of twelve that want a mug get none, and five cards are declined; seven buy two things."""


def test_every_promise_is_shown_to_have_been_kept(tmp_path: Path) -> None:
    demo = Command(
        *("demo", "--exit", "--orders", "60"),
        log=tmp_path / "demo.log",
        environment={"ORDERS_DATA_DIR": str(tmp_path)},
    )
    demo.start()
    try:
        assert demo.wait_until_done(DEADLINE_S) == 0, demo.last_lines()
    finally:
        demo.stop()
    assert demo.last_lines(KEPT.count("\n")) == KEPT.rstrip("\n")
