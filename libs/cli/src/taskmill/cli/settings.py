"""The settings of `taskmill up`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from taskmill.runtime.settings import Settings

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)


class StackSettings(Settings):
    """Where the embedded stack listens, keeps its data, and how much of it runs."""

    host: Annotated[str, Field(min_length=1, description="The address where the gateway serves HTTP.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535, description="The port where the gateway serves HTTP.")] = 8000
    data: Annotated[Path, Field(description="The directory that keeps everything: database, streams and logs.")] = Path(
        ".data"
    )
    processors: Annotated[int, Field(ge=0, le=64, description="How many processors run.")] = 1

    @property
    def reachable_host(self) -> str:
        """The address where a client on this machine reaches the gateway."""
        return _WILDCARDS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the gateway, such as `http://127.0.0.1:8000`."""
        host = self.reachable_host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
