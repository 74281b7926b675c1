"""Knowing who leads the partitions before they are read.

A consumer of librdkafka that is given partitions whose leaders it does not know looks for them again after
half a second, and once more for where they begin: the first record came a second and a half late.
"""

from contextlib import suppress

from confluent_kafka import Consumer, KafkaException

ANSWER_S = 2.0


def learn(consumer: Consumer) -> None:
    """Have the consumer know all leaders; where Kafka does not say, it finds them out by itself."""
    with suppress(KafkaException):
        consumer.list_topics(timeout=ANSWER_S)
