"""The topics: the plan, how what there is differs from it, and their creation in a real Kafka."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from app import broker, topics
from app.broker import claims
from app.errors import BrokerUnavailable, TopicsDiffer
from app.settings import KafkaSettings, Settings
from app.topics import Kind, Layout
from models.catalogue import MESSAGES

TIMEOUT_S = 30
TABLES = ("orders", "inventory", "payments", "analytics", "letters", "notifications", "transfer")
CHANGELOGS = [f"{table}-changelog" for table in TABLES]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Return the settings of a Kafka that these tests alone use: they are about all the topics it has."""
    with broker.start(tmp_path_factory.mktemp("topics"), options=broker.QUICK) as kafka:
        yield Settings(broker=kafka.bootstrap, partitions=2)


@pytest.fixture
def empty(settings: Settings) -> Settings:
    """Return the settings of that Kafka, now without any topic."""
    client = AdminClient({"bootstrap.servers": settings.broker})
    if names := list(client.list_topics(timeout=TIMEOUT_S).topics):
        for deleted in client.delete_topics(names).values():
            deleted.result(TIMEOUT_S)
    _await(lambda: not client.list_topics(timeout=TIMEOUT_S).topics)
    return settings


def test_every_message_type_every_table_the_dead_letters_and_their_outcomes_have_a_topic() -> None:
    letters = {"DEAD_LETTERS", "DEAD_LETTER_OUTCOMES"}
    assert {spec.name for spec in topics.plan(Settings())} == {*MESSAGES, *letters, *CHANGELOGS}


def test_all_topics_share_the_number_of_partitions_so_that_keys_meet() -> None:
    assert {spec.layout.partitions for spec in topics.plan(Settings(partitions=5))} == {5}


def test_messages_are_kept_for_ever_and_dated_by_the_log() -> None:
    assert _layout("ORDER_CREATED", Settings()).config == {
        "min.insync.replicas": "1",
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    }


def test_what_became_of_a_dead_letter_is_known_for_as_long_as_the_letter() -> None:
    assert _layout("DEAD_LETTER_OUTCOMES", Settings()) == _layout("ORDER_CREATED", Settings())


def test_a_dead_letter_has_room_for_the_record_it_wraps() -> None:
    added = (
        _layout("DEAD_LETTERS", Settings()).config.items()
        - _layout("ORDER_CREATED", Settings()).config.items()
    )
    assert added == {("max.message.bytes", "2097152")}


def test_changelogs_are_compacted_in_segments_as_the_settings_say() -> None:
    config = _layout("orders-changelog", Settings(kafka=KafkaSettings(changelog_segment_ms=1234))).config
    assert (config["cleanup.policy"], config["segment.ms"]) == ("compact", "1234")


@pytest.mark.parametrize(("copies", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_with_three_copies_two_must_have_a_record(copies: int, in_sync: str) -> None:
    settings = Settings(kafka=KafkaSettings(replication_factor=copies))
    assert {spec.layout.config["min.insync.replicas"] for spec in topics.plan(settings)} == {in_sync}


def test_topics_as_planned_do_not_differ_whatever_else_is_set_or_there() -> None:
    specs = topics.plan(Settings())
    actual = {spec.name: _with_config(spec.layout, {"flush.ms": "1"}) for spec in specs}
    assert topics.differences(specs, {**actual, "other": Layout(1, 1, {})}) == ()


def test_each_thing_that_differs_is_named() -> None:
    (spec,) = (spec for spec in topics.plan(Settings()) if spec.name == "ORDER_CREATED")
    other = replace(_with_config(spec.layout, {"retention.ms": "1"}), partitions=3, replication=2)
    found = topics.differences([spec], {spec.name: other})
    assert [difference.what for difference in found] == [
        "3 partitions, expected 8",
        "2 copies, expected 1",
        "retention.ms=1, expected -1",
    ]


def test_topics_that_differ_alike_share_one_line() -> None:
    specs = [spec for spec in topics.plan(Settings()) if spec.kind is Kind.CHANGELOG]
    assert topics.explain(topics.differences(specs, {})) == (
        f"{', '.join(CHANGELOGS)}: missing; create with `python -m app topics`"
    )


def test_what_is_missing_is_created_once(empty: Settings) -> None:
    assert set(topics.ensure(empty)) == {spec.name for spec in topics.plan(empty)}
    assert topics.ensure(empty) == ()
    assert topics.check(empty) == ()
    topics.require(empty)


def test_a_topic_that_is_made_anew_has_another_id(empty: Settings) -> None:
    topics.ensure(empty)
    before = topics.identify(empty, CHANGELOGS)
    assert before.keys() == set(CHANGELOGS)
    assert topics.identify(empty, CHANGELOGS) == before
    client = AdminClient({"bootstrap.servers": empty.broker})
    client.delete_topics(["orders-changelog"])["orders-changelog"].result(TIMEOUT_S)
    _await(lambda: "orders-changelog" not in client.list_topics(timeout=TIMEOUT_S).topics)
    topics.ensure(empty)
    after = topics.identify(empty, CHANGELOGS)
    assert {name for name in CHANGELOGS if after[name] != before[name]} == {"orders-changelog"}


def test_a_topic_that_is_not_there_has_no_id(empty: Settings) -> None:
    with pytest.raises(BrokerUnavailable, match="does not tell its topics' ids"):
        topics.identify(empty, ["orders-changelog"])


def test_only_what_is_missing_is_created(empty: Settings) -> None:
    client = AdminClient({"bootstrap.servers": empty.broker})
    client.create_topics([NewTopic("ORDER_CREATED", 1, 1)])["ORDER_CREATED"].result(TIMEOUT_S)
    _await(lambda: "ORDER_CREATED" in client.list_topics(timeout=TIMEOUT_S).topics)
    assert "ORDER_CREATED" not in topics.ensure(empty)
    assert {difference.topic for difference in topics.check(empty)} == {"ORDER_CREATED"}


def test_a_differing_number_of_partitions_is_refused_with_the_remedy(empty: Settings) -> None:
    topics.ensure(empty)
    client = AdminClient({"bootstrap.servers": empty.broker})
    client.create_partitions([NewPartitions("PAYMENT_FAILED", 3)])["PAYMENT_FAILED"].result(TIMEOUT_S)
    _await(lambda: len(client.list_topics("PAYMENT_FAILED").topics["PAYMENT_FAILED"].partitions) == 3)
    with pytest.raises(TopicsDiffer) as refusal:
        topics.require(empty)
    assert str(refusal.value) == (
        "the topics are not what a worker needs:\n"
        "PAYMENT_FAILED: 3 partitions, expected 2; set ORDERS_PARTITIONS=3, or begin with an empty Kafka, as"
        " keys can't move"
    )


def test_a_check_creates_nothing_and_fails(empty: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert topics.run(empty, check=True) == 1
    assert len(topics.check(empty)) == len(topics.plan(empty))
    assert "create with `python -m app topics`" in capsys.readouterr().out


def test_the_table_tells_what_was_created(empty: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert topics.run(empty, check=False) == 0
    assert capsys.readouterr().out.count("created") == len(topics.plan(empty))
    assert topics.run(empty, check=False) == 0
    assert capsys.readouterr().out.count("as it should be") == len(topics.plan(empty))


def test_copies_that_kafka_has_no_room_for_are_refused(empty: Settings) -> None:
    with pytest.raises(TopicsDiffer, match=r"Kafka does not create .*replication factor"):
        topics.ensure(empty.model_copy(update={"kafka": KafkaSettings(replication_factor=3)}))


def test_a_kafka_that_does_not_answer_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.topics.admin.ANSWER_TIMEOUT_S", 0.2)
    with claims.claim_port(0) as claim:
        address = f"127.0.0.1:{claims.port_of(claim)}"
        with pytest.raises(BrokerUnavailable) as failure:
            topics.require(Settings(broker=address))
    assert str(failure.value) == (
        f"no Kafka answers at {address}: start one with `python -m app broker`, or set ORDERS_BROKER"
    )


def _layout(name: str, settings: Settings) -> Layout:
    return next(spec.layout for spec in topics.plan(settings) if spec.name == name)


def _with_config(layout: Layout, config: dict[str, str]) -> Layout:
    return replace(layout, config={**layout.config, **config})


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
