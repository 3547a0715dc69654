"""The settings of `taskmill up`."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from taskmill.cli.embedded.nats_users import OPEN_PASSWORD, PASSWORD_PATTERN, NatsUsers
from taskmill.runtime.settings import MetricsSettings

_MAX_PORT = 65_535
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)


def _checked_password(password: SecretStr) -> SecretStr:
    if not re.fullmatch(PASSWORD_PATTERN, password.get_secret_value()):
        raise ValueError("begins with a letter; letters, digits, '-', '_' and '.' may follow")
    return password


Password = Annotated[SecretStr, AfterValidator(_checked_password)]


class StackSettings(MetricsSettings):
    """Where the embedded stack listens, keeps its data, and how much of it runs."""

    host: Annotated[str, Field(min_length=1, description="The address where the gateway serves HTTP.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535, description="The port where the gateway serves HTTP.")] = 8000
    data: Annotated[Path, Field(description="The directory that keeps everything: database, streams and logs.")] = Path(
        ".data"
    )
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
        if self.metrics_port is not None and self.metrics_port + self.processors > _MAX_PORT:
            raise ValueError(
                "TASKMILL_METRICS_PORT is too high: the store has this one, and TASKMILL_PROCESSORS those after it"
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
        """Where a client on this machine reaches the gateway, such as `http://127.0.0.1:8000`."""
        host = self.reachable_host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
