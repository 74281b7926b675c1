"""What became of records that were put back: taken in, come back as letters, or not known yet."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.letters.letter import Letter, Source
from app.letters.reading import Reader
from app.settings import Settings
from app.stages import is_group

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
        reached: dict[tuple[str, int], int] = {}
        for place, offset in _committed(client, waiting):  # of the groups, one reads the topic
            reached[place] = max(offset, reached.get(place, 0))
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
    """Yield how far these partitions are worked through, by each group of workers that there is."""
    places = [TopicPartition(*place) for place in {each[:2] for each in sent}]
    try:
        known = client.list_consumer_groups(request_timeout=ANSWER_S).result().valid
        for group in sorted(each.group_id for each in known if is_group(each.group_id)):
            question = ConsumerGroupTopicPartitions(group, places)
            answers = client.list_consumer_group_offsets([question], request_timeout=ANSWER_S)
            for place in answers[group].result().topic_partitions:
                yield (place.topic, place.partition), place.offset
    except KafkaException:  # it may be back before the time is over
        return
