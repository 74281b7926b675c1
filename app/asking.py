"""Questions to Kafka that are asked again for a while, before it counts as away."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from app.errors import BrokerUnavailable

T = TypeVar("T")

ANSWER_S = 10.0
"""How long Kafka has to answer."""

LOOK_AGAIN_S = 0.1


def ask(broker: str, question: Callable[[], T]) -> T:
    """Return Kafka's answer.

    Raises:
        BrokerUnavailable: there is none in time.
    """
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            return question()
        except KafkaException as error:  # a topic made a moment ago may not have its leader yet
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"the Kafka at {broker} does not answer: {error}") from error
            time.sleep(LOOK_AGAIN_S)
