"""The rows of an outbound table: an outbox an order, and a mark for each that has something undone.

The mark goes behind the row that it is about: a crash between the two leaves the input to come again, or
a mark too many, which is looked at in vain.
"""

from collections.abc import Iterator

from app.delivery.batch import Batch, Place
from app.delivery.codec import Coder
from app.delivery.state import State
from models.outbound import Outbox

ORDER = b"order/"
UNDONE = b"undone/"

_coder = Coder(Outbox)


class Rows:
    """Read and write the outboxes of one table."""

    def __init__(self, state: State) -> None:
        self.state = state

    def load(self, batch: Batch, partition: int, order_id: str) -> Outbox | None:
        """Return the outbox as it stands within the batch, None where there is none."""
        return batch.load(self.state, partition, ORDER + order_id.encode(), _coder)

    def save(self, batch: Batch, partition: int, outbox: Outbox) -> None:
        """Write the outbox with the batch, and whether something of it is undone."""
        name = outbox.order_id.encode()
        batch.save(self.state, partition, ORDER + name, outbox, _coder, place=Place.LAST)
        mark = b"1" if outbox.undone else None
        batch.write(self.state, partition, UNDONE + name, mark, place=Place.LAST)

    def find_undone(self) -> Iterator[tuple[int, Outbox]]:
        """Yield the outboxes of this worker's partitions that call for something."""
        for partition in sorted(self.state.partitions()):
            for key, _ in self.state.scan(partition, UNDONE):
                outbox = self.state.load(partition, ORDER + key.removeprefix(UNDONE), _coder)
                if outbox is not None and outbox.undone:
                    yield partition, outbox
