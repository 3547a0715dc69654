"""The settings of `taskmill up`."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from taskmill.cli.embedded.nats_users import OPEN_PASSWORD, PASSWORD_PATTERN, NatsUsers
from taskmill.runtime.settings import MAX_PORT, MetricsSettings, Settings

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)


def _checked_password(password: SecretStr) -> SecretStr:
    if not re.fullmatch(PASSWORD_PATTERN, password.get_secret_value()):
        raise ValueError("begins with a letter; letters, digits, '-', '_' and '.' may follow")
    return password


Password = Annotated[SecretStr, AfterValidator(_checked_password)]


class DataSettings(Settings):
    """Where the embedded stack keeps its data: what commands need to know that look for one."""

    data: Annotated[Path, Field(description="The directory that keeps everything: database, streams and logs.")] = Path(
        ".data"
    )


class StackSettings(MetricsSettings, DataSettings):
    """Where the embedded stack listens, keeps its data, and how much of it runs."""

    host: Annotated[str, Field(min_length=1, description="The address where the gateway serves HTTP.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=MAX_PORT, description="The port where the gateway serves HTTP.")] = 8000
    stores: Annotated[int, Field(ge=1, le=16, description="How many task stores run.")] = 1
    gateways: Annotated[
        int,
        Field(
            ge=1,
            le=16,
            description="How many gateways run: the first on TASKMILL_PORT, each other on the next port that is free.",
        ),
    ] = 1
    processors: Annotated[int, Field(ge=0, le=64, description="How many processors run.")] = 1
    nats_password: Annotated[
        Password | None,
        Field(
            description="The password of the NATS user `taskmill`, who may do everything. Unset: NATS takes whoever "
            "brings no credentials for that user. Letters, digits, -, _ and . only, a letter first."
        ),
    ] = None
    nats_reader_password: Annotated[
        Password,
        Field(description="The password of the NATS user `reader`, who may only read events. Of the same characters."),
    ] = SecretStr(OPEN_PASSWORD)

    @model_validator(mode="after")
    def _check_metrics_ports(self) -> Self:
        if self.metrics_port is not None and self.metrics_ports[-1] > MAX_PORT:
            raise ValueError(
                "TASKMILL_METRICS_PORT is too high: the first store has this one, TASKMILL_PROCESSORS those after it, "
                "and the other TASKMILL_STORES those after them"
            )
        return self

    @model_validator(mode="after")
    def _check_reader_password(self) -> Self:
        if self.nats_password is not None and self.nats_reader_password.get_secret_value() == OPEN_PASSWORD:
            raise ValueError(
                "TASKMILL_NATS_READER_PASSWORD must be chosen, too, when TASKMILL_NATS_PASSWORD is: everybody knows "
                "its default"
            )
        return self

    @property
    def nats_users(self) -> NatsUsers:
        """Who may connect to NATS."""
        password = None if self.nats_password is None else self.nats_password.get_secret_value()
        return NatsUsers(password, self.nats_reader_password.get_secret_value())

    @property
    def reachable_host(self) -> str:
        """The address where a client on this machine reaches the gateway."""
        return _WILDCARDS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the first gateway, such as `http://127.0.0.1:8000`."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Where a client on this machine reaches a gateway that listens on this port."""
        host = self.reachable_host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def metrics_ports(self) -> range:
        """The ports for metrics: of the first store, of each processor, of each other store; none if none are told."""
        first = self.metrics_port
        return range(0) if first is None else range(first, first + self.stores + self.processors)
