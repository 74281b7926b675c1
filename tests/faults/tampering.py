"""What is done to records and offsets behind the workers' backs."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    OffsetSpec,
)

from app.stages import GROUP
from models import commands, events
from models.messages import Message
from models.saga import AWAITED_IN
from tests.faults.log import records_of

KAFKA_S = 30
READ_S = 60
COPY = "copy"

_KINDS: Mapping[str, tuple[type[Message], ...]] = {
    "orders": tuple(AWAITED_IN),
    "inventory": (
        events.InventoryRestocked,
        commands.RequestInventory,
        commands.RequestInventoryRelease,
        commands.RequestInventorySale,
        commands.RequestInventoryReturn,
    ),
    "payments": (commands.RequestPayment, commands.RequestPaymentRefund),
    "analytics": (events.AnalyticsEvent,),
    "notifications": (events.NotificationEvent,),
    "transfer": (events.OrderCompleted, events.OrderRefunded),
}
READ_BY = {stage: tuple(message.type for message in kinds) for stage, kinds in _KINDS.items()}
"""The topics that each stage reads."""

READ = tuple(topic for topics in READ_BY.values() for topic in topics)
"""The topics that any stage reads."""

Offsets = Mapping[tuple[str, int], int]
"""One offset for each partition of some topics."""


def without_members(bootstrap: str) -> None:
    """Wait until the group has no members: those that are gone have been given up."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + KAFKA_S
    while True:
        group = client.describe_consumer_groups([GROUP])[GROUP].result(KAFKA_S)
        if group.state is ConsumerGroupState.EMPTY:
            return
        assert time.monotonic() < deadline, f"the group is {group.state}"
        time.sleep(0.2)


def committed(bootstrap: str) -> dict[tuple[str, int], int]:
    """Return up to where the group has read."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])
    known = asked[GROUP].result(KAFKA_S).topic_partitions or []
    return {(place.topic, place.partition): place.offset for place in known if place.offset >= 0}


def commit(bootstrap: str, offsets: Offsets) -> None:
    """Have the group read on from elsewhere; it must have no members."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
    asked = client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, places)])
    for place in asked[GROUP].result(KAFKA_S).topic_partitions or []:
        assert place.error is None, place


def ends(bootstrap: str, topics: Iterable[str] = READ) -> dict[tuple[str, int], int]:
    """Return where the partitions of topics end now."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    known = client.list_topics(timeout=KAFKA_S).topics
    places = [TopicPartition(topic, partition) for topic in topics for partition in known[topic].partitions]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = client.list_offsets(dict.fromkeys(places, latest))
    return {(place.topic, place.partition): found.result(KAFKA_S).offset for place, found in asked.items()}


def read_to_the_end(bootstrap: str, topics: Collection[str] = READ) -> None:
    """Wait until the group has committed all that there is in these topics.

    An offset that no record has is not waited for: it is of a transaction's end, or what it had was deleted.
    """
    deadline = time.monotonic() + READ_S
    while left := _unread(bootstrap, topics):
        assert time.monotonic() < deadline, f"unread: {left}"
        time.sleep(0.2)


def _unread(bootstrap: str, topics: Collection[str]) -> Counter[tuple[str, int]]:
    """Return how many records there are to read, of the partitions where there are some."""
    read = committed(bootstrap)
    behind = [place for place, end in ends(bootstrap, topics).items() if read.get(place, 0) < end]
    places = [TopicPartition(*place, read.get(place, OFFSET_BEGINNING)) for place in behind]
    return Counter(
        (record.topic() or "", record.partition() or 0) for record in records_of(bootstrap, places)
    )


Choose = Callable[[int], int]
"""What says into which partition a record of this one is copied."""


@contextmanager
def copied(bootstrap: str, choose: Choose, topics: Iterable[str] = READ) -> Iterator[Counter[str]]:
    """Put a copy of every record into the partition that is chosen, until the end of the block.

    Gives how many copies of each topic there are. A header tells copies from the others to this alone:
    workers do not look at headers.
    """
    copies: Counter[str] = Counter()
    over = threading.Event()
    since = ends(bootstrap, topics)
    copying = threading.Thread(target=_copy, args=(bootstrap, since, choose, copies, over))
    copying.start()
    try:
        yield copies
    finally:
        over.set()
        copying.join()


def _copy(
    bootstrap: str, since: Offsets, choose: Choose, copies: Counter[str], over: threading.Event
) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "fetch.wait.max.ms": 20})
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in since.items()])
        while not over.is_set():
            record = consumer.poll(0.1)
            producer.poll(0)
            if record is None or record.error() is not None or record.headers():
                continue
            topic, partition = record.topic() or "", choose(record.partition() or 0)
            producer.produce(topic, record.value(), record.key(), partition, headers={COPY: b"1"})
            copies[topic] += 1
        assert producer.flush(KAFKA_S) == 0
    finally:
        consumer.close()
