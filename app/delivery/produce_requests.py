"""Produce requests laid out by hand: a batch touches dozens of partitions, and each costs its share.

aiokafka describes its messages field by field, and walks through the description for each partition, on the
way out and on the way back. Here is version 7 of the request, which every Kafka since 2.1 takes. Leans on
what aiokafka 0.14's `AIOKafkaConnection` asks of a request: `prepare`, `build_request_header`, `encode`,
`parse_response_header`, and `RESPONSE_TYPE.decode`.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple, Self

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.produce import ProduceRequest_v7

_ALL = -1  # acknowledged by every replica that is in sync
_NO_TRANSACTION = -1

_HEAD = struct.Struct(">hhii")
_LENGTH = struct.Struct(">h")
_COUNT = struct.Struct(">i")
_PARTITION = struct.Struct(">ii")
_VERDICT = struct.Struct(">ihqqq")


class Verdict(NamedTuple):
    """Be what the broker says of one partition's batch: an error code, 0 for none, and its first offset."""

    topic: str
    partition: int
    code: int
    offset: int


class _Answer:
    """Be how a connection reads what comes back."""

    @staticmethod
    def decode(data: BytesIO) -> list[Verdict]:
        """Return a verdict for each partition of the request.

        Raises:
            ValueError, struct.error: it is cut short.
        """
        return [*_verdicts(data.read())]


class Produce(ProduceRequest_v7):  # type: ignore[misc]  # aiokafka is untyped here
    """Be a request for batches by topic and partition, which all replicas in sync acknowledge in time."""

    RESPONSE_TYPE = _Answer

    def __init__(self, topics: Mapping[str, Sequence[tuple[int, bytearray]]], timeout_ms: int) -> None:
        self._raw = b"".join(_parts(topics, timeout_ms))

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Self:
        """Return the request as the broker understands it.

        Raises:
            IncompatibleBrokerVersion: it does not.
        """
        lowest, highest = versions[self.API_KEY]
        if not lowest <= self.API_VERSION <= highest:
            raise IncompatibleBrokerVersion(
                f"Kafka takes produce requests of version {lowest} to {highest}, not {self.API_VERSION}"
            )
        return self

    def encode(self) -> bytes:
        """Return the request as it goes over the wire, behind its header."""
        return self._raw

    def __repr__(self) -> str:
        return f"Produce({len(self._raw)} bytes)"


def _parts(topics: Mapping[str, Sequence[tuple[int, bytearray]]], timeout_ms: int) -> Iterator[Any]:
    yield _HEAD.pack(_NO_TRANSACTION, _ALL, timeout_ms, len(topics))
    for topic, batches in topics.items():
        name = topic.encode()
        yield _LENGTH.pack(len(name)) + name + _COUNT.pack(len(batches))
        for partition, batch in batches:
            yield _PARTITION.pack(partition, len(batch))
            yield batch


def _verdicts(raw: bytes) -> Iterator[Verdict]:
    (topics,), at = _COUNT.unpack_from(raw), _COUNT.size
    for _ in range(topics):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        topic = raw[at - length : at].decode()
        (partitions,) = _COUNT.unpack_from(raw, at)
        at += _COUNT.size
        end = at + partitions * _VERDICT.size
        if not at <= end <= len(raw):
            raise ValueError(
                f"{partitions} verdicts on {topic} do not fit into an answer of {len(raw)} bytes"
            )
        for partition, code, offset, _, _ in _VERDICT.iter_unpack(raw[at:end]):
            yield Verdict(topic, partition, code, offset)
        at = end
