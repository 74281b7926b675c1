"""Which partition a key has: by the hash that every producer of Kafka's, librdkafka and Faust use."""

from murmurhash2 import murmurhash2

SEED = 0x9747B28C
"""The seed of Kafka's producers (org.apache.kafka.common.utils.Utils.murmur2)."""


def partition_of(key: bytes, partitions: int) -> int:
    """Return the key's partition of so many."""
    return (murmurhash2(key, SEED) & 0x7FFFFFFF) % partitions
