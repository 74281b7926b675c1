"""What became of records that were put back: taken in, come back as letters, or not known yet."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.delivery import GROUP
from app.letters.letter import Letter, Source
from app.letters.reading import Reader
from app.settings import Settings

ANSWER_S = 5.0
ASK_EVERY_S = 0.2


def await_workers(
    settings: Settings, sent: Collection[Source], wait_s: float, stop: threading.Event
) -> frozenset[Source]:
    """Wait until the workers have gone past these records, and return those that they have not in time.

    A letter is acknowledged before the offset behind its record is committed: whoever has gone past a
    record has buried it by then, or has not.
    """
    client = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
    deadline = time.monotonic() + wait_s
    waiting = frozenset(sent)
    while waiting and time.monotonic() < deadline and not stop.is_set():
        reached = dict(_committed(client, waiting))
        waiting = frozenset(each for each in waiting if reached.get(each[:2], 0) <= each.offset)
        if waiting:
            stop.wait(ASK_EVERY_S)
    return waiting


def come_back(reader: Reader, sent: Collection[Source], since: Mapping[int, int]) -> dict[Source, Letter]:
    """Return the letters that these records have become; `since` has the offset to look from by partition."""
    return {
        letter.source: letter
        for partition, first in since.items()
        for letter in reader.letters(partition, first)
        if letter.source is not None and letter.source in sent
    }


def _committed(client: AdminClient, sent: Collection[Source]) -> Iterator[tuple[tuple[str, int], int]]:
    places = [TopicPartition(*place) for place in {each[:2] for each in sent}]
    question = ConsumerGroupTopicPartitions(GROUP, places)
    try:
        answers = client.list_consumer_group_offsets([question], request_timeout=ANSWER_S)
        found = answers[GROUP].result().topic_partitions
    except KafkaException:  # it may be back before the time is over
        return
    for place in found:
        yield (place.topic, place.partition), place.offset
