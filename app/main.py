"""The one Faust app, and the delivery that its stages and tables are declared with."""

import logging
import threading

import faust

from app import metrics
from app.delivery.codec import MessageDecoder, decode
from app.delivery.exits import die
from app.delivery.recovery import Tables
from app.delivery.stages import Delivery
from app.delivery.stalls import Watch
from app.delivery.transport import Transport
from app.settings import Settings, current

logger = logging.getLogger(__name__)

NEVER_S = 10 * 365 * 86_400.0


class App(faust.App):  # type: ignore[misc]  # Faust is untyped here
    """Be the Faust app, which knows its delivery."""

    delivery: Delivery

    def on_rebalance_end(self) -> None:
        """End the rebalance, unless another has begun."""
        if self.tables.recovery.current:
            super().on_rebalance_end()

    async def on_start(self) -> None:
        """Start as Faust does, and look from now on whether the loop turns."""
        Watch(self.conf.broker_session_timeout).start()
        await super().on_start()

    async def on_stop(self) -> None:
        """Stop as Faust does, within a time: without Kafka it would wait for acknowledgements for ever."""
        limit_s = self.delivery.stop_limit_s
        limit = threading.Timer(limit_s, die, (f"it did not stop within {limit_s:.0f} s",))
        limit.daemon = True
        limit.start()
        await super().on_stop()


def create(settings: Settings, decode: MessageDecoder = decode) -> App:
    """Return the app with the settings under which nothing is lost; it connects to nothing yet."""
    app = App(
        settings.group,
        env={},  # else Faust would put what it finds there over what is said here
        broker=f"aiokafka://{settings.broker.replace(',', ';aiokafka://')}",
        processing_guarantee="at_least_once",
        store="rocksdb://",
        TableManager=Tables,
        datadir=settings.worker_dir,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.kafka.replication_factor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id,
        broker_client_id=settings.member_id,
        broker_session_timeout=settings.kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.kafka.heartbeat_ms / 1000,
        broker_rebalance_timeout=settings.kafka.rebalance_timeout_ms / 1000,
        broker_commit_interval=settings.kafka.commit_interval_ms / 1000,
        # Nothing is polled through Faust, and so no poll can be late.
        broker_max_poll_interval=NEVER_S,
        stream_wait_empty=True,
        # Faust 0.15.3 drops what it has fetched for a standby whenever its flow is stopped, and goes on
        # behind it: a standby could be promoted with rows missing.
        table_standby_replicas=0,
        # Delivery looks itself, and says what to do.
        recovery_consistency_check=False,
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
    app.delivery = Delivery(app, settings, decode)
    metrics.COMMIT_AGE.set_function(app.delivery.progress.uncommitted_s)
    return app


logging.captureWarnings(capture=True)
app = create(current())
delivery = app.delivery
