"""Settings: from the environment and from a `.env` file, checked at once, never changed afterwards."""

import re
from pathlib import Path
from stat import S_ISDIR
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from taskmill.contracts.json_text import own_words
from taskmill.runtime.errors import SettingsError

ENV_PREFIX = "TASKMILL_"

MAX_PORT = 65_535


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


SEED_PATTERN = r"^SU[A-Z2-7]{56}$"
"""The secret half of a NATS user's key (nkeys)."""

_FOR_OTHERS = 0o077


def read_seed_file(path: Path) -> str:
    """Return the seed that a file holds.

    Raises:
        ValueError: It cannot be read, others may read it, or it holds no seed; what it holds is not told.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if mode & _FOR_OTHERS:
        raise ValueError(f"others may read {path}, which holds a secret: chmod 600 {path}")
    return _checked_seed(text, f"{path} holds no seed of a NATS user (SU and 56 letters and digits)")


def _checked_seed(text: str, complaint: str) -> str:
    if not re.fullmatch(SEED_PATTERN, text):
        raise ValueError(complaint)
    return text


def _check_secret_seed(seed: SecretStr) -> SecretStr:
    _checked_seed(seed.get_secret_value(), "is no seed of a NATS user (SU and 56 letters and digits)")
    return seed


def _check_seed_file(path: Path) -> Path:
    read_seed_file(path)
    return path


_BAD_PORT = (
    "a port must be a number, 65535 at most; in a user and a password write %23 for #, %2F for /, %3F for ? and %40 "
    "for @"
)

_BAD_ADDRESS = (
    "cannot be taken apart; in a user and a password write %5B for [, %5D for ], and what is not ASCII as its bytes, "
    "such as %C3%A9"
)


def split_address(address: str) -> SplitResult:
    """Take the address of a server apart.

    Raises:
        ValueError: It cannot be, as with a password that breaks it. The message, unlike Python's, repeats no part.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError(_BAD_ADDRESS) from None
    # What ends at a `/` or a `?` of a password of digits looks like a host with its port; the `@` comes behind it then.
    is_cut = parts.fragment or "@" in parts.path or "@" in parts.query.partition("=")[0]
    if is_cut or not _are_ports(parts.netloc):
        raise ValueError(_BAD_PORT)
    return parts


def _are_ports(netloc: str) -> bool:
    # It may have several hosts, separated by commas.
    ports = (re.sub(r"^(\[[^\]]*\]|[^:]*):?", "", host) for host in netloc.rpartition("@")[2].split(","))
    return all(not port or (port.isascii() and port.isdigit() and int(port) <= MAX_PORT) for port in ports)


def _check_servers(urls: str) -> str:
    for url in urls.split(","):
        split_address(url.strip())
    return urls


class NatsSettings(Settings):
    """Where NATS is, as whom to come there, and how long to wait for it."""

    nats_url: Annotated[
        str,
        AfterValidator(_check_servers),
        Field(
            # It may hold a password.
            repr=False,
            pattern=r"^(nats|tls)://\S+$",
            validation_alias=AliasChoices("TASKMILL_NATS_URL", "NATS_URL"),
            description="NATS servers, separated by commas.",
        ),
    ] = "nats://127.0.0.1:4222"
    nats_nkey_file: Annotated[
        Path | None,
        AfterValidator(lambda path: None if path is None else _check_seed_file(path)),
        Field(
            description="A file that holds the seed of the NATS user to be, such as gateway.nk of `taskmill nats "
            "users`; only this user may be able to read it (mode 600). Unset: NATS is told no key."
        ),
    ] = None
    nats_nkey_seed: Annotated[
        SecretStr | None,
        AfterValidator(lambda seed: None if seed is None else _check_secret_seed(seed)),
        Field(description="The same seed itself, where a file cannot be handed over."),
    ] = None
    request_timeout_seconds: Annotated[
        float,
        Field(gt=0, le=60, description="How long an answer of another service, or a publish to JetStream, may take."),
    ] = 4

    @model_validator(mode="after")
    def _check_one_key(self) -> Self:
        if self.nats_nkey_file is not None and self.nats_nkey_seed is not None:
            raise ValueError("TASKMILL_NATS_NKEY_FILE and TASKMILL_NATS_NKEY_SEED are both set: one key is enough")
        return self

    def nats_seed(self) -> str | None:
        """The seed of the user to be; None: none is set.

        Raises:
            ValueError: Its file cannot be read any more.
        """
        if self.nats_nkey_file is not None:
            return read_seed_file(self.nats_nkey_file)
        return None if self.nats_nkey_seed is None else self.nats_nkey_seed.get_secret_value()


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
            le=MAX_PORT,
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


def _in_a_folder(path: Path | None) -> Path | None:
    if path is None:
        return None
    folder = path.parent
    try:
        is_in_folder, is_folder = S_ISDIR(folder.stat().st_mode), path.is_dir()
    except OSError as error:
        raise ValueError(f"{folder}, the folder where {path.name} would be, cannot be seen: {error.strerror}") from None
    if not is_in_folder:
        raise ValueError(f"{folder}, where {path.name} would be, is no folder")
    if is_folder:
        raise ValueError(f"{path} is a folder, not a file")
    return path


class HealthSettings(Settings):
    """How a service without HTTP tells that it is well."""

    health_file: Annotated[
        Path | None,
        Field(description="A file that is touched every few seconds while the service is well; unset: none."),
        AfterValidator(_in_a_folder),
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
        raise SettingsError("\n".join(_problem(fields, details) for details in error.errors())) from None


def variable_name(name: str, field: FieldInfo) -> str:
    """The environment variable that sets a field."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{ENV_PREFIX}{name.upper()}"


def _problem(fields: dict[str, FieldInfo], details: ErrorDetails) -> str:
    location = [str(part) for part in details["loc"]]
    # A rule over several fields has no location: its message names the variables itself.
    message = own_words(details)
    if not location:
        return message
    name, field = location[0], fields.get(location[0])
    variable = variable_name(name, field) if field is not None else name
    return f"{variable}: {message}"
