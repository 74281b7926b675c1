"""Produce requests by hand are those that aiokafka writes, and answers read so are the same."""

import struct
from io import BytesIO
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.produce_requests import Produce, Verdict

TIMEOUT_MS = 10_000
API_KEY = ProduceRequest_v7.API_KEY

NAMES = st.text(max_size=20)
NUMBERS = st.integers(0, 2**31 - 1)
OFFSETS = st.integers(-1, 2**63 - 1)
BATCHES = st.lists(st.tuples(NUMBERS, st.binary(max_size=50).map(bytearray)), max_size=5)
VERDICTS = st.lists(st.tuples(NUMBERS, st.integers(-1, 200), OFFSETS, OFFSETS, OFFSETS), max_size=5)


@given(topics=st.dictionaries(NAMES, BATCHES, max_size=5))
def test_a_request_is_written_as_aiokafka_writes_it(topics: dict[str, list[tuple[int, bytearray]]]) -> None:
    theirs = ProduceRequest_v7(None, -1, TIMEOUT_MS, list(topics.items()))
    ours = Produce(topics, TIMEOUT_MS).prepare({API_KEY: (3, 12)})
    assert ours.encode() == theirs.encode()
    headers = [each.build_request_header(7, "client").encode() for each in (ours, theirs)]
    assert headers[0] == headers[1]


@given(topics=st.dictionaries(NAMES, VERDICTS, max_size=5))
def test_an_answer_is_read_as_aiokafka_reads_it(topics: dict[str, Any]) -> None:
    raw = ProduceResponse_v7(list(topics.items()), 0).encode()
    assert Produce.RESPONSE_TYPE.decode(BytesIO(raw)) == [
        Verdict(topic, partition, code, offset)
        for topic, verdicts in topics.items()
        for partition, code, offset, *_ in verdicts
    ]


def test_an_answer_that_is_cut_short_is_not_taken_for_one_with_fewer_verdicts() -> None:
    raw = ProduceResponse_v7([("topic", [(0, 0, 1, -1, 0), (1, 0, 1, -1, 0)])], 0).encode()
    throttle, verdict = 4, 30
    for length in (len(raw) - throttle - verdict, len(raw) - throttle - 2 * verdict, 3):
        with pytest.raises((ValueError, struct.error)):
            Produce.RESPONSE_TYPE.decode(BytesIO(raw[:length]))


@pytest.mark.parametrize("versions", [(0, 6), (8, 12)])
def test_a_kafka_that_speaks_another_version_is_refused(versions: tuple[int, int]) -> None:
    with pytest.raises(IncompatibleBrokerVersion, match=r"version \d+ to \d+, not 7"):
        Produce({}, TIMEOUT_MS).prepare({API_KEY: versions})
