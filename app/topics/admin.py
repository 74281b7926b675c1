"""The topics as Kafka has them: described, compared and created."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented here, defined elsewhere
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from app.errors import BrokerUnavailable, TopicsDiffer
from app.settings import Settings
from app.topics.plan import Difference, Layout, TopicSpec, differences, explain, plan

ANSWER_TIMEOUT_S = 5.0
CREATE_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 0.05


def ensure(settings: Settings) -> tuple[str, ...]:
    """Create the topics that are missing and return their names; one that exists stays as it is.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TopicsDiffer: Kafka refuses to create one.
    """
    specs = plan(settings)
    actual = describe(settings, specs)
    return _create(_client(settings), [spec for spec in specs if spec.name not in actual])


def check(settings: Settings) -> tuple[Difference, ...]:
    """Return what is not as it must be; a missing topic counts.

    Raises:
        BrokerUnavailable: Kafka does not answer.
    """
    specs = plan(settings)
    return differences(specs, describe(settings, specs))


def require(settings: Settings) -> None:
    """Make sure that every topic is as it must be.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TopicsDiffer: something is not; the text names all of it, each with its remedy.
    """
    if found := check(settings):
        raise TopicsDiffer(f"the topics are not what a worker needs:\n{explain(found)}")


def describe(settings: Settings, specs: Collection[TopicSpec]) -> Mapping[str, Layout]:
    """Return how these topics are, by name, without those that do not exist.

    Raises:
        BrokerUnavailable: Kafka does not answer.
    """
    client = _client(settings)
    names = {spec.name for spec in specs}
    try:
        topics = client.list_topics(timeout=ANSWER_TIMEOUT_S).topics
        present = {name: topic for name, topic in topics.items() if name in names and topic.error is None}
        configs = _configs(client, sorted(present))
    except KafkaException as error:
        raise BrokerUnavailable(
            f"no Kafka answers at {settings.broker}: start one with `python -m app broker`,"
            " or set ORDERS_BROKER"
        ) from error
    return {
        name: Layout(
            partitions=len(topic.partitions),
            replication=min(len(partition.replicas) for partition in topic.partitions.values()),
            config=configs[name],
        )
        for name, topic in present.items()
    }


def identify(settings: Settings, names: Collection[str]) -> Mapping[str, str]:
    """Return the id that Kafka has given each of these topics; one that is made anew has another.

    Raises:
        BrokerUnavailable: Kafka does not answer, or does not know them.
    """
    client = _client(settings)  # it has to live until all are answered
    try:
        asked = client.describe_topics(TopicCollection([*names]), request_timeout=ANSWER_TIMEOUT_S)
        return {name: str(answer.result().topic_id) for name, answer in asked.items()}
    except KafkaException as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.broker} does not tell its topics' ids: {error}"
        ) from error


def _client(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})


def _configs(client: AdminClient, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = client.describe_configs(resources, request_timeout=ANSWER_TIMEOUT_S)
    return {
        resource.name: {key: entry.value for key, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _create(client: AdminClient, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
    if not specs:
        return ()
    answers = client.create_topics(
        [_new(spec) for spec in specs],
        operation_timeout=CREATE_TIMEOUT_S,
        request_timeout=CREATE_TIMEOUT_S,
    )
    created = tuple(name for name, answer in answers.items() if _is_created(name, answer))
    _await_topics(client, answers)
    return created


def _new(spec: TopicSpec) -> NewTopic:
    layout = spec.layout
    return NewTopic(spec.name, layout.partitions, layout.replication, config=dict(layout.config))


def _is_created(name: str, answer: "Future[Any]") -> bool:
    try:
        answer.result()
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster
            return False
        raise TopicsDiffer(f"Kafka does not create {name}: {reason.str()}") from error
    return True


def _await_topics(client: AdminClient, names: Iterable[str]) -> None:
    """Wait until they can be seen: the controller confirms a topic before the brokers know of it."""
    deadline = time.monotonic() + CREATE_TIMEOUT_S
    while missing := set(names) - set(client.list_topics(timeout=ANSWER_TIMEOUT_S).topics):
        if time.monotonic() > deadline:
            raise TopicsDiffer(
                f"Kafka has created {', '.join(sorted(missing))} and does not show it; try again"
            )
        time.sleep(LOOK_AGAIN_S)
