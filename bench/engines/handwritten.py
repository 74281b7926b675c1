"""The pipeline by hand: one loop in one thread on librdkafka and RocksDB, as fast as it is still safe.

Each turn takes what has arrived in all three topics, decides, and makes it last in the project's order:
changelog acknowledged, RocksDB, events acknowledged, offsets.
"""

import signal
from collections import defaultdict

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bench import pipeline
from bench.engines import HANDWRITTEN, command
from bench.engines.tables import Rows, Table, checked

BATCH = 2_000
WAIT_S = 0.1
COMMIT_MS = 500
GATHER_MS = 10


class Loop:
    """Be the process: one consumer of all topics, one producer, two tables."""

    def __init__(self, options: command.Options) -> None:
        stock, orders = HANDWRITTEN.changelogs
        self._stock = Table(stock, options.state_dir, options.broker)
        self._orders = Table(orders, options.state_dir, options.broker)
        self._tables = {pipeline.ORDERS_IN: self._stock, pipeline.PAYMENT_COMPLETED: self._orders}
        self._acknowledged: dict[tuple[str, int], int] = {}
        self._producer = Producer(
            {
                "bootstrap.servers": options.broker,
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 1_000_000,
                "message.timeout.ms": 0,  # never give a record up: then nothing but a fatal error can lose it
                "error_cb": _raise_fatal,
                "log_level": 3,
            }
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": options.broker,
                "group.id": HANDWRITTEN.group,
                "auto.offset.reset": "earliest",
                "enable.auto.offset.store": False,
                "auto.commit.interval.ms": COMMIT_MS,
                # A fetch gathers for a moment: else each record that trickles in is a turn of its own, and
                # it is the broker that has no time left.
                "fetch.min.bytes": 256 * 1024,
                "fetch.wait.max.ms": GATHER_MS,
            }
        )
        self._stopping = False

    def run(self) -> None:
        """Work until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        self._consumer.subscribe(list(pipeline.INPUTS), on_assign=self._assigned, on_revoke=self._revoked)
        while not self._stopping:
            self._turn()
        self._consumer.close()

    def _turn(self) -> None:
        records = self._consumer.consume(1, WAIT_S)
        if not records:
            return
        records += self._consumer.consume(BATCH - 1, 0)
        rows: defaultdict[tuple[Table, int], Rows] = defaultdict(dict)
        events = []
        reached: dict[tuple[str, int], int] = {}
        for record in records:
            topic, partition = checked(record).topic() or "", record.partition() or 0
            reached[topic, partition] = record.offset() or 0
            events.append(self._decide(topic, partition, orjson.loads(record.value() or b""), rows))
        self._save(rows)
        for event in events:
            self._producer.produce(event["type"], orjson.dumps(event), event["order_id"])
        self._producer.flush()
        ends = [TopicPartition(*where, offset + 1) for where, offset in reached.items()]
        self._consumer.store_offsets(offsets=ends)  # committed every so often, and when it closes

    def _decide(
        self, topic: str, partition: int, event: pipeline.Event, rows: dict[tuple[Table, int], Rows]
    ) -> pipeline.Event:
        if topic == pipeline.STOCK_DEDUCTED:
            return pipeline.pay(event)
        if topic == pipeline.PAYMENT_COMPLETED:
            row, out = pipeline.complete(event)
            rows[self._orders, partition][event["order_id"].encode()] = row
            return out
        written, key = rows[self._stock, partition], event["sku"].encode()
        before = written.get(key) or self._stock.get(partition, key)
        written[key], out = pipeline.deduct(before, event)
        return out

    def _save(self, rows: dict[tuple[Table, int], Rows]) -> None:
        """Make the last row of each key last: in the changelog first, then on the disk."""
        for (table, partition), written in rows.items():
            *_, last = written
            for key, row in written.items():
                written[key] = raw = orjson.dumps(row)
                report = self._on_delivery if key is last else None
                self._producer.produce(table.changelog, raw, key, partition, on_delivery=report)
        self._producer.flush()
        for (table, partition), written in rows.items():
            table.write(partition, written, self._acknowledged.pop((table.changelog, partition)))

    def _on_delivery(self, error: KafkaError | None, record: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        self._acknowledged[record.topic() or "", record.partition() or 0] = record.offset() or 0

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            if each.topic in self._tables:
                self._tables[each.topic].open(each.partition)
        command.say_ready()

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            if each.topic in self._tables:
                self._tables[each.topic].close(each.partition)

    def _stop(self, *_: object) -> None:
        self._stopping = True


def _raise_fatal(error: KafkaError) -> None:
    if error.fatal():
        raise KafkaException(error)


if __name__ == "__main__":
    given = command.options("The reference pipeline by hand.")
    command.say_versions("confluent-kafka", "rocksdict")
    Loop(given).run()
