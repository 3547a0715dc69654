"""What an operator may set of the task store."""

from typing import Annotated, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, model_validator

from taskmill.contracts.streams import WORK_ACK_WAIT_SECONDS, WorkAckWaitSeconds
from taskmill.runtime.settings import HealthSettings, MetricsSettings, NatsSettings, ProcessSettings, Settings
from taskmill.task_store.adapters.database_url import plain_database_url

MEBIBYTE = 1024 * 1024
DAY_SECONDS = 24 * 3600

_MAX_KEPT_SECONDS = 100 * 365 * DAY_SECONDS
"""A hundred years. Instants end in the year 9999, and the nanoseconds of JetStream after 292 years."""

_MAX_STREAM_BYTES = 1024**5
"""1 PiB. JetStream counts bytes in 63 bits."""


def _plain(url: SecretStr) -> SecretStr:
    return SecretStr(plain_database_url(url.get_secret_value()))


class DatabaseSettings(Settings):
    """Where PostgreSQL is."""

    database_url: Annotated[
        SecretStr,
        AfterValidator(_plain),
        Field(
            validation_alias=AliasChoices("TASKMILL_DATABASE_URL", "DATABASE_URL"),
            validate_default=True,
            description="PostgreSQL: postgresql://…, postgres://… or postgresql+asyncpg://…; parameters such as "
            "sslmode are passed on.",
        ),
    ] = SecretStr("postgresql://taskmill@127.0.0.1:5432/taskmill")


class TaskStoreSettings(DatabaseSettings, NatsSettings, ProcessSettings, HealthSettings, MetricsSettings):
    """Settings of the task store."""

    max_queues: Annotated[
        int, Field(ge=1, le=1000, description="How many queues may exist. Each has four consumers on NATS.")
    ] = 64
    max_queued_tasks: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000_000,
            description="How many tasks may wait in a queue. Beyond it requests are refused, retries are not.",
        ),
    ] = 1_000_000
    max_webhooks: Annotated[
        int, Field(ge=0, le=1000, description="How many webhooks may exist. Each event is compared with each.")
    ] = 100
    max_schedules: Annotated[
        int, Field(ge=0, le=10_000, description="How many schedules may exist, paused ones among them.")
    ] = 1_000
    max_api_keys: Annotated[
        int, Field(ge=1, le=10_000, description="How many API keys may be neither revoked nor expired.")
    ] = 1_000
    lease_seconds: Annotated[
        float, Field(ge=1, le=3600, description="How long a processor holds an attempt after its last sign of life.")
    ] = 30
    work_ack_wait_seconds: WorkAckWaitSeconds = WORK_ACK_WAIT_SECONDS
    reconcile_interval_seconds: Annotated[
        float,
        Field(ge=0.1, le=60, description="The pause between two looks for work that was lost."),
    ] = 5
    unknown_kind_backoff_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=3600,
            description="How long a task waits after a processor had no handler for its kind, and no other of its "
            "queue has one; twice as long after each more. While another one has, it waits for 0.25 s at first, and "
            "never longer than this.",
        ),
    ] = 5
    unknown_kind_max_backoff_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=86_400,
            description="It waits no longer than this, and not at all once a processor of its queue says that it has a "
            "handler. Not less than TASKMILL_UNKNOWN_KIND_BACKOFF_SECONDS.",
        ),
    ] = 300
    queue_idle_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long a queue is kept in which no task waits or is at work, which no processor serves, and "
            "which is not paused. The default queue is kept for ever.",
        ),
    ] = 7 * 24 * 3600
    idempotency_ttl_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long an idempotency key is remembered, and a bulk operation or a replay after its end.",
        ),
    ] = 7 * 24 * 3600
    schedule_fires_kept_seconds: Annotated[
        int,
        Field(
            ge=3600,
            le=_MAX_KEPT_SECONDS,
            description="How long it is remembered what became of a time of a schedule. At least 3600: an hour.",
        ),
    ] = 30 * 24 * 3600
    retention_completed_seconds: Annotated[
        int | None,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long a task is kept after it was completed. At least 60; unset: for ever.",
        ),
    ] = None
    retention_failed_seconds: Annotated[
        int | None,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long a task is kept after it failed for good. At least 60; unset: for ever.",
        ),
    ] = None
    retention_cancelled_seconds: Annotated[
        int | None,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long a task is kept after it was cancelled. At least 60; unset: for ever.",
        ),
    ] = None
    retention_events_seconds: Annotated[
        int | None,
        Field(
            ge=DAY_SECONDS,
            le=_MAX_KEPT_SECONDS,
            description="How long PostgreSQL keeps events at least: a month's are removed together, when the last of "
            "them is so old. At least 86400, and not less than TASKMILL_EVENTS_MAX_AGE_SECONDS; unset: for ever.",
        ),
    ] = None
    retention_groups_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long a group is kept after it was settled; its tasks are kept by themselves.",
        ),
    ] = 30 * DAY_SECONDS
    nats_replicas: Annotated[
        int | None,
        Field(
            ge=1,
            le=5,
            description="On how many servers of a NATS cluster each stream is kept: 3 lets one of three die. The same "
            "for all task stores. Unset: new streams on one, and those that exist as they are.",
        ),
    ] = None
    reports_max_bytes: Annotated[
        int,
        Field(
            ge=MEBIBYTE,
            le=_MAX_STREAM_BYTES,
            description="Size of TASK_REPORTS. When it is full, processors keep their reports.",
        ),
    ] = 1024 * MEBIBYTE
    events_max_bytes: Annotated[
        int,
        Field(
            ge=MEBIBYTE,
            le=_MAX_STREAM_BYTES,
            description="Size of TASK_EVENTS. The oldest leave first; PostgreSQL keeps them.",
        ),
    ] = 4096 * MEBIBYTE
    events_max_age_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=_MAX_KEPT_SECONDS,
            description="How long TASK_EVENTS keeps an event. PostgreSQL keeps them for longer.",
        ),
    ] = 7 * 24 * 3600

    @model_validator(mode="after")
    def _check_backoff_may_grow(self) -> Self:
        if self.unknown_kind_max_backoff_seconds < self.unknown_kind_backoff_seconds:
            raise ValueError(
                "TASKMILL_UNKNOWN_KIND_MAX_BACKOFF_SECONDS must not be less than TASKMILL_UNKNOWN_KIND_BACKOFF_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _check_events_outlive_the_stream(self) -> Self:
        kept_for = self.retention_events_seconds
        if kept_for is not None and kept_for < self.events_max_age_seconds:
            # A stream that is lost is filled from PostgreSQL.
            raise ValueError("TASKMILL_RETENTION_EVENTS_SECONDS must not be less than TASKMILL_EVENTS_MAX_AGE_SECONDS")
        return self
