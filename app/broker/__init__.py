"""The embedded Kafka broker: one node of Apache Kafka (KRaft), without Docker and without an installation."""

from app.broker.commands import fetch, run
from app.broker.node import QUICK, Broker, start

__all__ = ["QUICK", "Broker", "fetch", "run", "start"]
