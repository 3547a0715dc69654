"""docker-compose.yml under a project name of its own, on free ports: two of them do not meet."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.paths import ROOT

_COMPOSE_FILE = ROOT / "docker-compose.yml"
_COMMAND_SECONDS = 60


class ComposeProject:
    """One run of docker-compose.yml.

    Args:
        name: Prefix of its images, containers, networks and volumes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        # Port 0: the engine picks a free one. No password from outside, which could be one that PostgreSQL refuses.
        self._environment = {
            **{variable: value for variable, value in os.environ.items() if not variable.startswith("TASKMILL_")},
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_DISABLE_ENV_FILE": "1",
            "POSTGRES_PASSWORD": "taskmill",
            "TASKMILL_PORT": "0",
            "TASKMILL_NATS_PORT": "0",
        }

    async def compose(self, *arguments: str, within_seconds: float = _COMMAND_SECONDS) -> str:
        """Run `docker compose` with `arguments` and return what it wrote to stdout.

        Raises:
            AssertionError: It failed, or took too long; with the end of its output.
        """
        return await self.docker("compose", "--file", str(_COMPOSE_FILE), *arguments, within_seconds=within_seconds)

    async def docker(self, *arguments: str, within_seconds: float = _COMMAND_SECONDS) -> str:
        """Run `docker` with `arguments`; see `compose`."""
        process = await asyncio.create_subprocess_exec(
            "docker",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        command = "docker " + " ".join(arguments)
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(), within_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"{command}: not done within {within_seconds} s") from None
        if process.returncode:
            raise AssertionError(f"{command}: exit code {process.returncode}\n{(stdout + stderr).decode()[-4000:]}")
        return stdout.decode()

    async def containers(self) -> list[dict[str, Any]]:
        """Return what `docker inspect` says of each container, those that have ended included."""
        ids = (await self.compose("ps", "--all", "--quiet")).split()
        inspected: list[dict[str, Any]] = json.loads(await self.docker("inspect", *ids))
        return inspected

    async def gateway_url(self) -> str:
        """Return where the gateway is published; a container that was started anew is published elsewhere."""
        return f"http://{(await self.compose('port', 'gateway', '8000')).strip()}"


@asynccontextmanager
async def compose_project() -> AsyncIterator[ComposeProject]:
    """Yield a project that is not up yet; at the end its containers, volumes and images are removed."""
    project = ComposeProject(f"taskmill-test-{uuid.uuid4().hex[:8]}")
    try:
        yield project
    finally:
        await project.compose("down", "--volumes", "--rmi", "local", "--remove-orphans", within_seconds=120)
