"""Operator settings: `faust.yml`, with the environment over it; anything unknown stops the start."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from yarl import URL

from app.errors import SettingsError
from app.mistakes import Keys, find_names, no_such, shown, unreadable
from app.stages import ALL, CHOICE, SWITCHED, chosen, group_of

PREFIX = "ORDERS_"
CONFIG_VARIABLE = "ORDERS_CONFIG"
DEFAULT_FILE = Path("faust.yml")

Port = Annotated[int, Field(ge=1, le=65535)]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


def _readable(url: str) -> str:
    """Return the URL, once it is known that those who call it will understand it; none is as good."""
    try:
        readable = not url or bool(URL(url).host)
    except ValueError:  # its words may repeat a password
        readable = False
    if not readable:
        raise PydanticCustomError("url", "a URL with a host, and a port up to 65535 where it has one")
    return url


Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$"), AfterValidator(_readable)]
MaybeUrl = Annotated[str, Field(pattern=r"^(https?://[^\s/]+(/\S*)?)?$"), AfterValidator(_readable)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebSettings(_Group):
    """Where HTTP is served and how long an answer may take."""

    bind: str = "127.0.0.1"
    host: str = "127.0.0.1"
    port: Port = 6066
    accept_timeout_ms: Milliseconds = 5_000
    forward_timeout_ms: Milliseconds = 2_000
    appear_timeout_ms: Milliseconds = 2_000
    max_lag_ms: Milliseconds = 10_000
    idempotency_s: Annotated[int, Field(ge=1, le=2_592_000)] = 86_400
    retry_after_s: Count = 1


class LimitSettings(_Group):
    """What an order may hold."""

    body_bytes: Count = 65_536
    body_ms: Milliseconds = 10_000
    lines: Annotated[int, Field(ge=1, le=500)] = 50
    quantity: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    unit_price: Annotated[int, Field(ge=0, le=10**15)] = 10**12
    restock: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    page: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class PaymentSettings(_Group):
    """Where the payment provider is and how it is called."""

    url: Url = "http://127.0.0.1:6080"
    timeout_ms: Milliseconds = 2_000
    attempts: Annotated[int, Field(ge=2, le=100)] = 5
    backoff_ms: Milliseconds = 100
    backoff_max_ms: Milliseconds = 5_000
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 500
    refused_backoff_ms: Milliseconds = 60_000
    refused_backoff_max_ms: Milliseconds = 3_600_000
    breaker_failures: Count = 10
    breaker_pause_ms: Milliseconds = 5_000


class SagaSettings(_Group):
    """How long an order may wait."""

    pending_ms: Milliseconds = 300_000
    paying_ms: Milliseconds = 300_000
    compensating_ms: Milliseconds = 60_000


class AnalyticsSettings(_Group):
    """How long the statistics know a minute."""

    retention_minutes: Annotated[int, Field(ge=10, le=525_600)] = 1_440


class OutsideSettings(_Group):
    """How messages are delivered outside, and for how long that is tried."""

    timeout_ms: Milliseconds = 10_000
    backoff_ms: Milliseconds = 1_000
    backoff_max_ms: Milliseconds = 300_000
    give_up_ms: Milliseconds = 86_400_000
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = 20
    max_open: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    breaker_failures: Count = 10
    breaker_pause_ms: Milliseconds = 30_000


class WebhookSettings(OutsideSettings):
    """Where they are posted, and what they are signed with."""

    url: MaybeUrl = ""
    secret: SecretStr = SecretStr("")


class OutboundSettings(_Group):
    """Where webhooks may go to."""

    allowed_hosts: Annotated[str, Field(pattern=r"^([^\s,:/]+(,[^\s,:/]+)*)?$")] = ""
    private_addresses: bool = False


class SmtpSettings(_Group):
    """Which server takes mail, and how."""

    host: Annotated[str, Field(pattern=r"^[^\s,:/]+$")] = "127.0.0.1"
    port: Port = 25
    security: Annotated[str, Field(pattern="^(plain|starttls|tls)$")] = "plain"
    username: str = ""
    password: SecretStr = SecretStr("")


class NotificationSettings(WebhookSettings):
    """How customers hear of the ends of their orders."""

    channel: Annotated[str, Field(pattern="^(none|log|smtp|webhook)$")] = "none"
    to: Annotated[str, Field(pattern=r"^[^\s<>]*\{customer_id\}[^\s<>]*$")] = (
        "{customer_id}@customers.example"
    )
    sender: Annotated[str, Field(pattern=r"^[^\s@<>]+@[^\s@<>]+$")] = "orders@shop.example"
    templates: Path = Path("templates/notifications")
    max_age_ms: Milliseconds = 86_400_000
    smtp: SmtpSettings = SmtpSettings()


class TransferSettings(WebhookSettings):
    """From when on an external system is told of orders."""

    since: Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z)?$")] = ""


class KafkaSettings(_Group):
    """How topics are made and how the worker keeps its place in the group."""

    replication_factor: Annotated[int, Field(ge=1, le=10)] = 1
    changelog_segment_ms: Milliseconds = 3_600_000
    session_timeout_ms: Annotated[int, Field(ge=6_000, le=1_800_000)] = 10_000
    heartbeat_ms: Annotated[int, Field(ge=100, le=60_000)] = 2_000
    rebalance_timeout_ms: Milliseconds = 30_000
    commit_interval_ms: Milliseconds = 500
    compression: Annotated[str, Field(pattern="^(none|gzip|snappy|lz4|zstd)$")] = "lz4"


class DeliverySettings(_Group):
    """How much one unit of work may hold, and how long it may take to finish on a rebalance."""

    batch_records: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    batch_bytes: Annotated[int, Field(ge=1_024, le=100_000_000)] = 4_194_304
    drain_timeout_ms: Milliseconds = 8_000


class TracingSettings(_Group):
    """Whom to tell of spans, and of how many orders."""

    endpoint: MaybeUrl = ""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01


class Settings(BaseSettings):
    """Every operator setting; `faust.yml` explains each."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, case_sensitive=False
    )

    broker: Annotated[str, Field(pattern=r"^[^\s,:/]+:\d+(,[^\s,:/]+:\d+)*$")] = "127.0.0.1:9092"
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 8
    stages: Annotated[str, Field(pattern=CHOICE)] = ALL
    data_dir: Path = Path("data")
    worker_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]{1,100})?$")] = ""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    log_format: Annotated[str, Field(pattern="^(text|json)$")] = "text"
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()
    saga: SagaSettings = SagaSettings()
    payment: PaymentSettings = PaymentSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    outbound: OutboundSettings = OutboundSettings()
    notifications: NotificationSettings = NotificationSettings()
    transfer: TransferSettings = TransferSettings()
    kafka: KafkaSettings = KafkaSettings()
    delivery: DeliverySettings = DeliverySettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Return the stages that this worker was started with, which name its group."""
        return chosen(self.stages)

    @property
    def active_stages(self) -> tuple[str, ...]:
        """Return those of them that are switched on: what the others would read waits in Kafka."""
        on = {"notifications": self.notifications.channel != "none", "transfer": bool(self.transfer.url)}
        return tuple(stage for stage in self.stage_names if stage not in SWITCHED or on[stage])

    @property
    def group(self) -> str:
        """Return the consumer group of the workers that were started with these stages."""
        return group_of(self.stage_names)

    @property
    def member_id(self) -> str:
        """Return this worker's name in the group: the same after a restart, unlike any other worker's."""
        return self.worker_id or f"{socket.gethostname()}-{self.web.port}"

    @property
    def instance_id(self) -> str:
        """Return what Kafka knows this worker by: another name where other stages are switched on.

        Kafka gives a member that comes back under its name what it had, whatever topics it asks for by now.
        """
        switched_on = (stage for stage in SWITCHED if stage in self.active_stages)
        return ".".join((self.member_id, *switched_on))

    @property
    def worker_dir(self) -> Path:
        """Return the folder that holds this worker's state, and no other worker's."""
        return self.data_dir / f"worker-{self.member_id}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the base class names them
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment over the file."""
        del settings_cls
        return (env_settings, init_settings)


def load(path: Path | None = None) -> Settings:
    """Return the settings of the file with the environment over it.

    Raises:
        SettingsError: a file that is missing or is no YAML mapping, an unknown key, a bad value.
    """
    path = path or Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_FILE))
    document = _read(path)
    known = {*map(_variable, find_names(Settings)), CONFIG_VARIABLE}
    unknown = sorted(
        name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
    )
    if unknown:
        raise SettingsError("\n".join(no_such(name, known) for name in unknown))
    try:
        return Settings(**{str(key): value for key, value in document.items()})
    except ValidationError as error:
        raise SettingsError(_explain(error, path)) from None


@cache
def current() -> Settings:
    """Return the settings of this process, read once."""
    return load()


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist; name another file with --config PATH") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # a value error also for a day that is none
        raise SettingsError(f"{path} can't be read as YAML: {unreadable(error)}") from None
    if not isinstance(document, dict | None):
        raise SettingsError(f"{path} holds {type(document).__name__}, expected settings as `key: value`")
    return document or {}


def _variable(keys: Keys) -> str:
    return f"{PREFIX}{'__'.join(keys)}".upper()


def _explain(error: ValidationError, path: Path) -> str:
    settings = set(find_names(Settings))
    names = {".".join(keys[:end]) for keys in settings for end in range(1, len(keys) + 1)}
    upper = {name.upper(): name for name in os.environ}
    lines = []
    for fault in error.errors():
        keys = tuple(str(part) for part in fault["loc"])
        name = ".".join(keys)
        if fault["type"] == "extra_forbidden":
            lines.append(f"{path}: {no_such(name, names)}")
        else:
            where = upper.get(_variable(keys), f"{path}: {name}")
            lines.append(f"{where} = {shown(keys, fault['input'], settings)}: {_expected(fault)}")
    return "\n".join(lines)


def _expected(fault: Any) -> str:
    message = str(fault["msg"])
    return "expected " + message.removeprefix("Input should be ").removeprefix("String should ")
