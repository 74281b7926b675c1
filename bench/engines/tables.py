"""The tables of the pipeline by hand: RocksDB on the disk, a changelog topic to rebuild it from."""

from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from app.asking import ask

OFFSET_KEY = b"\0offset"
READ_AT_ONCE = 2_000
WAIT_S = 0.1
ANSWER_S = 10.0

Rows = dict[bytes, Any]


class Table:
    """Be a table: a RocksDB and a changelog partition for each partition of its stage's topic."""

    def __init__(self, changelog: str, folder: Path, broker: str) -> None:
        self.changelog = changelog
        self._folder = folder / changelog
        self._broker = broker
        self._dbs: dict[int, Rdict] = {}

    def open(self, partition: int) -> None:
        """Open the partition and bring it up to the end of its changelog."""
        db = self._dbs[partition] = Rdict(str(self._folder / str(partition)), Options(raw_mode=True))
        reader = Consumer(
            {"bootstrap.servers": self._broker, "group.id": "none", "enable.auto.commit": False}
        )
        where = TopicPartition(self.changelog, partition)
        _, end = ask(self._broker, lambda: reader.get_watermark_offsets(where, timeout=ANSWER_S))
        reached = int(db.get(OFFSET_KEY) or -1)
        start = reached + 1 if reached >= 0 else OFFSET_BEGINNING
        reader.assign([TopicPartition(self.changelog, partition, start)])
        while reached + 1 < end:
            for record in reader.consume(READ_AT_ONCE, WAIT_S):
                reached = checked(record).offset() or 0
                db[record.key()] = record.value()
        reader.close()
        db[OFFSET_KEY] = str(reached).encode()

    def close(self, partition: int) -> None:
        """Close the partition."""
        self._dbs.pop(partition).close()

    def get(self, partition: int, key: bytes) -> Any:
        """Return the row under the key, None where there is none."""
        raw = self._dbs[partition].get(key)
        return None if raw is None else orjson.loads(raw)

    def write(self, partition: int, rows: Rows, offset: int) -> None:
        """Write rows together with the changelog offset that they reach up to."""
        batch = WriteBatch(raw_mode=True)
        for key, value in rows.items():
            batch.put(key, value)
        batch.put(OFFSET_KEY, str(offset).encode())
        self._dbs[partition].write(batch)


def checked(record: Message) -> Message:
    """Return the record.

    Raises:
        KafkaException: it is none, but what Kafka complains about.
    """
    if error := record.error():
        raise KafkaException(error)
    return record
