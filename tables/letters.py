"""Dead letters by order id: written by whichever stage buries a record about an order, with the batch.

A row for each letter, so that no two stages ever write the same one, and a repeat writes what is there. A
record that is keyed by its order lies in the order's partition, and so does its row: with the order's owner.
Stages that run in workers without the orders stage write no rows: those letters are in their topic alone.
"""

import re
from datetime import UTC, datetime
from itertools import islice

from app.delivery.batch import Batch
from app.delivery.codec import Coder
from app.delivery.deadletters import DeadLetter
from app.main import delivery
from app.partitions import partition_of
from models.catalogue import MESSAGES
from models.messages import AboutOrder
from models.value import Value

state = delivery.table("letters", stage="orders", shared=True)

ORDER_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
"""What an order may be called; any other key is no order's, and may be of any size."""

MOST = 100
"""How many letters of an order are told of."""


class Buried(Value, frozen=True, kw_only=True):
    """Be one record that could not be processed: where it is, and when the log took it in."""

    topic: str
    partition: int
    offset: int
    at: datetime

    @property
    def place(self) -> str:
        """Return where it is in one word."""
        return f"{self.topic}/{self.partition}/{self.offset}"


coder = Coder(Buried)


@delivery.on_buried
def save_letter(batch: Batch, letter: DeadLetter) -> None:
    """Write the letter under the order that its record is about, where the record's place and key tell."""
    order_id = letter.key or b""
    if not (state.here and _is_about(order_id, letter)):
        return
    buried = Buried(
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        at=datetime.fromtimestamp(letter.recorded_ms / 1000, UTC),
    )
    key = b"%b/%b" % (order_id, buried.place.encode())
    batch.write(state, letter.partition, key, coder.encode(buried))


def find_letters(partition: int, order_id: str) -> list[Buried]:
    """Return the letters about the order, oldest first.

    Raises:
        NotHere: this worker does not own the partition.
    """
    rows = islice(state.scan(partition, order_id.encode() + b"/"), MOST)
    return sorted((coder.decode(raw) for _, raw in rows), key=lambda buried: (buried.at, buried.place))


def _is_about(order_id: bytes, letter: DeadLetter) -> bool:
    return (
        issubclass(MESSAGES[letter.topic], AboutOrder)
        and ORDER_ID.fullmatch(order_id) is not None
        and partition_of(order_id, delivery.settings.partitions) == letter.partition
    )
