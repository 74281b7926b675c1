"""What delivery leans on inside Faust and aiokafka is as it was when delivery was written.

These are not their public interfaces. Where one changes, read what changed, see that the module that is
named still does what it says, and put the new fingerprint here: the failing test shows it.
"""

# ruff: noqa: SLF001
import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.api import RequestStruct
from faust.agents.agent import Agent
from faust.agents.manager import AgentManager
from faust.app.base import App
from faust.stores.rocksdb import RocksDBOptions, Store
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerRebalanceListener
from mode.worker import Worker

VERSIONS = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "rocksdict": "0.3.29",
}

LEANED_ON: list[tuple[str, Callable[..., Any], str]] = [
    ("app/delivery/transport.py", Consumer.commit, "a354437baaa0"),
    ("app/delivery/transport.py", Consumer.maybe_wait_for_commit_to_finish, "d687f63a0b5e"),
    ("app/delivery/transport.py", Consumer.on_partitions_revoked, "d04b7ae72c6f"),
    ("app/delivery/transport.py", Consumer._drain_messages, "44a2500309e8"),
    ("app/delivery/transport.py", Consumer._wait_next_records, "6218e1969a63"),
    ("app/delivery/transport.py", AIOKafkaConsumerThread.on_start, "38b4e8bd1e10"),
    ("app/delivery/transport.py", AIOKafkaConsumerThread._commit, "932852ce7a23"),
    ("app/delivery/transport.py", ConsumerRebalanceListener.on_partitions_revoked, "348c3aec879f"),
    ("app/delivery/transport.py", ConsumerRebalanceListener.on_partitions_assigned, "1c1f8406ad36"),
    ("app/delivery/transport.py", App._on_partitions_revoked, "d5c895bbe57d"),
    ("app/delivery/transport.py", App._stop_consumer, "55854a5de12c"),
    ("app/delivery/transport.py", AIOKafkaConsumer.start, "2f1ba7044332"),
    ("app/delivery/transport.py", Fetcher.close, "1cd24bc1c442"),
    ("app/delivery/transport.py", GroupCoordinator.fetch_committed_offsets, "6c049c737916"),
    ("app/delivery/producer.py", AIOKafkaClient.bootstrap, "198943b004e5"),
    ("app/delivery/producer.py", AIOKafkaClient.send, "246b277687d7"),
    ("app/delivery/producer.py", AIOKafkaClient.add_topic, "b054eda66291"),
    ("app/delivery/producer.py", AIOKafkaClient.force_metadata_update, "cb7befef21c8"),
    ("app/delivery/producer.py", AIOKafkaConnection.send, "5909ea32f4ef"),
    ("app/delivery/producer.py", AIOKafkaConnection.close, "28f164aa1e4f"),
    ("app/delivery/produce_requests.py", AIOKafkaConnection.send, "5909ea32f4ef"),
    ("app/delivery/produce_requests.py", AIOKafkaConnection._handle_frame, "46a7d9b8cf7c"),
    ("app/delivery/produce_requests.py", RequestStruct.build_request_header, "a3b54a5d4d46"),
    ("app/delivery/produce_requests.py", RequestStruct.parse_response_header, "fe83e2edecbb"),
    ("app/delivery/transport.py", GroupCoordinator._do_heartbeat, "dc1d6632aaa6"),
    ("app/delivery/transport.py", GroupCoordinator.ensure_active_group, "33c84c1a9301"),
    ("app/delivery/transport.py", GroupCoordinator._start_heartbeat_task, "358d0cfad997"),
    ("app/delivery/transport.py", GroupCoordinator._heartbeat_routine, "61d010289522"),
    ("app/delivery/recovery.py", Recovery.on_rebalance, "aa4d997a1795"),
    ("app/delivery/recovery.py", Recovery.on_recovery_completed, "6ef567acf072"),
    ("app/delivery/recovery.py", Recovery._build_highwaters, "91b4cc0d3724"),
    ("app/delivery/recovery.py", Recovery._build_offsets, "27eec86be06c"),
    ("app/delivery/recovery.py", Recovery._wait, "ec7429b70176"),
    ("app/delivery/recovery.py", App.on_rebalance_start, "5c1e23de3067"),
    ("app/delivery/recovery.py", App.on_rebalance_end, "b7ff69e1e377"),
    ("app/delivery/recovery.py", App._on_partitions_assigned, "de932b7927db"),
    ("app/delivery/recovery.py", TableManager.on_rebalance, "2d2c23a07bf5"),
    ("app/delivery/recovery.py", TableManager.on_actives_ready, "274c07e80913"),
    ("app/delivery/recovery.py", TableManager.on_start, "365dd25fbc0e"),
    ("app/delivery/recovery.py", TableManager._update_channels, "88e3941facc9"),
    ("app/delivery/recovery.py", AgentManager.on_start, "9dfe63755f5f"),
    ("app/delivery/recovery.py", Agent.stream, "31d17bc21315"),
    ("app/delivery/recovery.py", App.stream, "e4b852f34a00"),
    ("app/delivery/recovery.py", Conductor._subscriber.fun, "2a7908583404"),
    ("app/worker.py", Worker._sentinel_task, "6e66058cf3e1"),
    ("app/worker.py", Worker._gather_all, "7e8d72ebf749"),
    ("app/worker.py", Worker._shutdown_loop, "6ad3b1129015"),
    ("app/delivery/state.py", Store.persisted_offset, "6f2e502fb860"),
    ("app/delivery/state.py", Store._db_for_partition, "cb7e67d5f9ef"),
    ("app/delivery/state.py", Store.revoke_partitions, "3f85447a24fc"),
    ("app/delivery/state.py", Store.assign_partitions, "34dc27ace6dd"),
    ("app/delivery/state.py", Store._open_for_partition, "1dc4e0113d67"),
    ("app/delivery/disk.py", RocksDBOptions.as_options, "d2a1bea17736"),
    ("app/delivery/disk.py", RocksDBOptions.open, "ff87e92d69e2"),
]


def fingerprint(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize("package", VERSIONS)
def test_the_version_is_the_one_that_delivery_was_written_for(package: str) -> None:
    assert version(package) == VERSIONS[package]


@pytest.mark.parametrize(
    ("module", "function", "known"),
    LEANED_ON,
    ids=[f"{function.__module__}.{function.__qualname__}" for _, function, _ in LEANED_ON],
)
def test_what_a_module_leans_on_is_as_it_was(module: str, function: Callable[..., Any], known: str) -> None:
    assert fingerprint(function) == known, f"{function.__qualname__} has changed: look at {module}"
