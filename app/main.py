"""The one Faust app, and the delivery that its stages and tables are declared with."""

import logging
import threading

import faust

from app.delivery.exits import die
from app.delivery.stages import Delivery
from app.delivery.transport import Transport
from app.settings import Settings, current

logger = logging.getLogger(__name__)


class App(faust.App):  # type: ignore[misc]  # Faust is untyped here
    """Be the Faust app, which knows its delivery."""

    delivery: Delivery

    async def on_stop(self) -> None:
        """Stop as Faust does, within a time: without Kafka it would wait for acknowledgements for ever."""
        limit_s = self.delivery.stop_limit_s
        limit = threading.Timer(limit_s, die, (f"it did not stop within {limit_s:.0f} s",))
        limit.daemon = True
        limit.start()
        await super().on_stop()


async def hold_back(app: App, **_: object) -> None:
    """Stop fetching while the positions of the source topics are being set.

    Faust 0.15.3 would fetch between the two, and then empty the agents' queues as it resumes: what was
    fetched is lost, for it is never read again. The flow is resumed by Faust right after.
    """
    app.consumer.stop_flow()
    partitions = sorted({tp.partition for tp in app.assignor.assigned_actives()})
    logger.info("recovered, working on partitions %s, answering at %s", partitions, app.conf.canonical_url)


def create(settings: Settings) -> App:
    """Return the app with the settings under which nothing is lost; it connects to nothing yet."""
    app = App(
        "orders",
        broker=f"aiokafka://{settings.broker.replace(',', ';aiokafka://')}",
        processing_guarantee="at_least_once",
        store="rocksdb://",
        datadir=settings.worker_dir,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.kafka.replication_factor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.member_id,
        broker_client_id=settings.member_id,
        broker_session_timeout=settings.kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.kafka.heartbeat_ms / 1000,
        broker_rebalance_timeout=settings.kafka.rebalance_timeout_ms / 1000,
        broker_commit_interval=settings.kafka.commit_interval_ms / 1000,
        broker_max_poll_records=settings.delivery.batch_records,
        stream_buffer_maxsize=settings.delivery.buffer_records,
        stream_wait_empty=True,
        # Faust 0.15.3 drops what it has fetched for a standby whenever its flow is stopped, and goes on
        # behind it: a standby could be promoted with rows missing.
        table_standby_replicas=0,
        web_bind=settings.web.bind,
        web_host=settings.web.host,
        web_port=settings.web.port,
        canonical_url=f"http://{settings.web.host}:{settings.web.port}",
        web_enabled=True,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
        debug=False,
        logging_config=None,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    app.delivery = Delivery(app, settings)
    app.on_rebalance_complete.connect(hold_back)
    return app


logging.captureWarnings(capture=True)
app = create(current())
delivery = app.delivery
