"""Settings: from the environment and from a `.env` file, checked at once, never changed afterwards."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from taskmill.runtime.errors import SettingsError

ENV_PREFIX = "TASKMILL_"


class Settings(BaseSettings):
    """Base of every settings model. The field `max_queues` is set by the variable `TASKMILL_MAX_QUEUES`.

    The environment beats `.env`, which beats the defaults. Variables that no field knows are ignored, for they belong
    to other services; a constructor's unknown argument is an error.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class LogSettings(Settings):
    """How a service logs."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Nothing less severe is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Field(description="One JSON object a line, or text for people; auto: text on a terminal, else JSON."),
    ] = "auto"


class NatsSettings(Settings):
    """Where NATS is, and how long to wait for it."""

    nats_url: Annotated[
        str,
        Field(
            # It may hold a password.
            repr=False,
            pattern=r"^(nats|tls)://\S+$",
            validation_alias=AliasChoices("TASKMILL_NATS_URL", "NATS_URL"),
            description="NATS servers, separated by commas.",
        ),
    ] = "nats://127.0.0.1:4222"
    request_timeout_seconds: Annotated[
        float,
        Field(gt=0, le=60, description="How long an answer of another service, or a publish to JetStream, may take."),
    ] = 4


class TracingSettings(Settings):
    """Where traces go."""

    otlp_endpoint: Annotated[
        str | None,
        Field(
            # It may hold a password.
            repr=False,
            pattern=r"^https?://\S+$",
            validation_alias=AliasChoices("TASKMILL_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            description="The receiver of traces, by OTLP over HTTP: its URL, to which `/v1/traces` is added, such as "
            "http://127.0.0.1:4318; unset: nothing is traced. OpenTelemetry's other variables hold, too.",
        ),
    ] = None


class ProcessSettings(LogSettings, TracingSettings):
    """What is set of every service."""


class MetricsSettings(Settings):
    """Where a service without HTTP tells its metrics. The gateway does so on its own port, at `/metrics`."""

    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_535,
            description="The TCP port where metrics are told to Prometheus, at `/metrics`; unset: nowhere. Under "
            "`taskmill up` the store has this one, and the processors have those after it.",
        ),
    ] = None
    metrics_address: Annotated[
        str,
        Field(
            min_length=1,
            description="The address to listen on for that, an IPv4 address. Nobody is asked who they are.",
        ),
    ] = "127.0.0.1"


class HealthSettings(Settings):
    """How a service without HTTP tells that it is well."""

    health_file: Annotated[
        Path | None,
        Field(description="A file that is touched every few seconds while the service is well; unset: none."),
    ] = None


SettingsT = TypeVar("SettingsT", bound=Settings)


def load(settings_class: type[SettingsT]) -> SettingsT:
    """Read settings from the environment and from `.env` in the working directory.

    Raises:
        SettingsError: Some are missing or wrong.
    """
    try:
        return settings_class()
    except ValidationError as error:
        fields = settings_class.model_fields
        raise SettingsError("\n".join(_problem(fields, dict(details)) for details in error.errors())) from None


def variable_name(name: str, field: FieldInfo) -> str:
    """The environment variable that sets a field."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{ENV_PREFIX}{name.upper()}"


def _problem(fields: dict[str, FieldInfo], details: dict[str, Any]) -> str:
    location = [str(part) for part in details["loc"]]
    # A rule over several fields has no location: its message names the variables itself.
    message = str(details["msg"]).removeprefix("Value error, ")
    if not location:
        return message
    name, field = location[0], fields.get(location[0])
    variable = variable_name(name, field) if field is not None else name
    return f"{variable}: {message}"
