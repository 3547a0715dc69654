"""What an operator may set of the gateway."""

from typing import Annotated

from pydantic import Field

from taskmill.runtime.settings import NatsSettings, ProcessSettings


class GatewaySettings(NatsSettings, ProcessSettings):
    """Settings of the gateway."""

    host: Annotated[str, Field(min_length=1, description="The address to listen on, an IPv4 or IPv6 address.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=1, le=65_535, description="The TCP port to listen on.")] = 8_000
    max_followers: Annotated[
        int,
        Field(
            ge=1,
            description="How many event streams, and requests that wait for a task, may be open at once. Beyond it "
            "they are refused: 503 `overloaded`.",
        ),
    ] = 2_000
