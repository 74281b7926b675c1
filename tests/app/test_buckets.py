"""What is due is taken once its second has come, in bounded pieces, at the cost of its bytes."""

from hypothesis import given
from hypothesis import strategies as st

from app.buckets import Due


def all_of(due: Due, now_s: float, most: int = 100) -> list[tuple[int, bytes]]:
    found = []
    while (taken := due.take(now_s, most)) is not None:
        partition, names = taken
        assert 0 < len(names) <= most
        found += [(partition, name) for name in names]
    return found


def test_nothing_is_taken_before_its_time_and_all_within_a_second_after() -> None:
    due = Due()
    due.put(0, b"one", 10.2)
    assert due.take(10.9, 100) is None
    assert all_of(due, 11) == [(0, b"one")]


def test_what_is_taken_is_gone() -> None:
    due = Due()
    due.put(3, b"one", 1)
    assert all_of(due, 5) == [(3, b"one")]
    assert (all_of(due, 99), due.held_bytes) == ([], 0)


def test_what_is_due_first_is_taken_first_and_a_partition_at_a_time() -> None:
    due = Due()
    for at_s, partition, name in ((9, 0, b"last"), (2, 1, b"second"), (2, 0, b"first"), (30, 0, b"never")):
        due.put(partition, name, at_s)
    assert all_of(due, 10) == [(0, b"first"), (1, b"second"), (0, b"last")]


def test_a_name_that_was_put_twice_for_one_second_is_taken_once() -> None:
    due = Due()
    for name in (b"one", b"two", b"one"):
        due.put(0, name, 1)
    assert all_of(due, 1) == [(0, b"one"), (0, b"two")]


def test_a_full_bucket_is_taken_piece_by_piece() -> None:
    due = Due()
    names = [str(number).encode() for number in range(10)]
    for name in names:
        due.put(0, name, 1)
    assert due.take(1, 4) == (0, names[:4])
    assert due.take(1, 4) == (0, names[4:8])
    assert due.take(1, 4) == (0, names[8:])
    assert due.take(1, 4) is None


def test_a_hundred_thousand_orders_take_some_tens_of_bytes_each() -> None:
    due = Due()
    name = b"01a205ae-d817-748e-a2c6-4d46a4be0fe9"
    for number in range(100_000):
        due.put(number % 8, name, number / 1000)
    assert due.held_bytes == 37 * 100_000


def test_what_is_cleared_is_never_taken() -> None:
    due = Due()
    due.put(0, b"one", 1)
    due.clear()
    assert all_of(due, 99) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=8), st.floats(0, 50))), st.integers(1, 5))
def test_whatever_was_put_is_taken_whatever_it_is_called(
    put: list[tuple[int, str, float]], most: int
) -> None:
    due = Due()
    for partition, name, at_s in put:
        due.put(partition, name.encode(), at_s)
    assert set(all_of(due, 50, most)) == {(partition, name.encode()) for partition, name, _ in put}
