"""What everything in the models is made of: values, which never change."""

from msgspec import Struct


class Value(Struct, frozen=True, kw_only=True, gc=False):
    """Be a value: made by keyword, compared by content, never changed.

    What is frozen can't come to hold itself, so the garbage collector need not look at it (`gc=False`):
    an order of one line makes some fifty values, and to follow them took a third of its time.
    """
