"""Which topics there must be, and how what there is differs; pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.settings import Settings
from models.catalogue import MESSAGES

DEAD_LETTERS = "DEAD_LETTERS"
DEAD_LETTER_OUTCOMES = "DEAD_LETTER_OUTCOMES"
TABLES = ("orders", "inventory", "payments", "analytics", "letters", "notifications", "transfer")

DEAD_LETTER_BYTES = 2 * 1024 * 1024  # twice what a record may have: a dead letter wraps a record
SEGMENT_BYTES = 64 * 1024 * 1024
WEEK_MS = 7 * 24 * 60 * 60 * 1000
SAFE_REPLICATION = 3


class Kind(StrEnum):
    """Say what a topic is for; its configuration follows from that."""

    MESSAGES = "messages"
    DEAD_LETTERS = "dead letters"
    OUTCOMES = "outcomes"
    CHANGELOG = "changelog"


@dataclass(frozen=True)
class Layout:
    """Be what matters of a topic: its partitions, the copies of each, its configuration in Kafka's words."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicSpec:
    """Be one topic as it must be."""

    name: str
    kind: Kind
    layout: Layout


@dataclass(frozen=True)
class Difference:
    """Be one thing about a topic that is not as it must be, and what to do about it."""

    topic: str
    what: str
    remedy: str


def changelog_of(table: str) -> str:
    """Return the name of the topic that this table is rebuilt from."""
    return f"{table}-changelog"


def plan(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return every topic there must be: one a message type, two for dead letters, one a table."""
    kinds = {
        **dict.fromkeys(MESSAGES, Kind.MESSAGES),
        DEAD_LETTERS: Kind.DEAD_LETTERS,
        DEAD_LETTER_OUTCOMES: Kind.OUTCOMES,
        **dict.fromkeys(map(changelog_of, TABLES), Kind.CHANGELOG),
    }
    return tuple(TopicSpec(name, kind, _layout(kind, settings)) for name, kind in kinds.items())


def differences(specs: Iterable[TopicSpec], actual: Mapping[str, Layout]) -> tuple[Difference, ...]:
    """Return what is not as it must be, topic by topic; a missing one counts, one of others does not."""
    return tuple(difference for spec in specs for difference in _compare(spec, actual.get(spec.name)))


def explain(found: Iterable[Difference]) -> str:
    """Return one line for each way to differ: the topics that do, what it is, and the remedy."""
    topics: dict[tuple[str, str], list[str]] = {}
    for each in found:
        topics.setdefault((each.what, each.remedy), []).append(each.topic)
    return "\n".join(f"{', '.join(names)}: {what}; {remedy}" for (what, remedy), names in topics.items())


def _layout(kind: Kind, settings: Settings) -> Layout:
    copies = settings.kafka.replication_factor
    common = {"min.insync.replicas": "2" if copies >= SAFE_REPLICATION else "1"}
    return Layout(settings.partitions, copies, {**common, **_config(kind, settings)})


def _config(kind: Kind, settings: Settings) -> Mapping[str, str]:
    # Messages are the record that state is rebuilt from: they stay, dated by the one clock of the log.
    for_ever = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    }
    match kind:
        case Kind.MESSAGES | Kind.OUTCOMES:
            return for_ever
        case Kind.DEAD_LETTERS:
            return {**for_ever, "max.message.bytes": str(DEAD_LETTER_BYTES)}
        case Kind.CHANGELOG:
            return {
                "cleanup.policy": "compact",
                # The open segment is not compacted, and recovery reads all of it: both bounds keep it short.
                "segment.ms": str(settings.kafka.changelog_segment_ms),
                "segment.bytes": str(SEGMENT_BYTES),
                "min.cleanable.dirty.ratio": "0.2",
                # A worker that comes back within this time still learns what was deleted meanwhile.
                "delete.retention.ms": str(WEEK_MS),
            }


def _compare(spec: TopicSpec, actual: Layout | None) -> Iterator[Difference]:
    if actual is None:
        yield Difference(spec.name, "missing", "create with `python -m app topics`")
        return
    wanted = spec.layout
    if actual.partitions != wanted.partitions:
        yield Difference(
            spec.name,
            f"{actual.partitions} partitions, expected {wanted.partitions}",
            f"set ORDERS_PARTITIONS={actual.partitions}, or begin with an empty Kafka, as keys can't move",
        )
    if actual.replication != wanted.replication:
        yield Difference(
            spec.name,
            f"{actual.replication} copies, expected {wanted.replication}",
            f"set ORDERS_KAFKA__REPLICATION_FACTOR={actual.replication}, or use kafka-reassign-partitions",
        )
    for key, value in wanted.config.items():
        if (found := actual.config.get(key)) != value:
            yield Difference(spec.name, f"{key}={found}, expected {value}", "set it with kafka-configs")
