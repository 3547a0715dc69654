"""What people would use instead, and how it is run beside Taskmill."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import MeasurementError
from benchmarks.machine import program_version, server_directory
from benchmarks.measure import Figures, Sampler
from benchmarks.peers.environment import pinned_versions, programs_of
from benchmarks.peers.servers import REDIS, redis_program, running_servers
from taskmill.cli.child_process import ChildProcess

_CLIENT_WITHIN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """How a peer is set.

    Attributes:
        text: What is set.
        page: The page of the peer's documentation that recommends it, or says what the default is.
    """

    text: str
    page: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer. Its folder, `benchmarks/peers/<name>`, has requirements.txt and the programs that run there.

    Attributes:
        name: Such as "celery".
        title: What people call it, with what it stands on.
        packages: The packages whose versions are told.
        servers: What it needs; see `servers`.
        workers: The commands of its workers; the program is one of its environment.
        settings: How it is set.
        tasks: How many tasks the client enqueues for each command that it knows.
        reference: What it should reach on a machine whose empty FastAPI endpoint does 11,000 requests/s, for each
            command; less than 80 % of that means that it is mis-set here.
    """

    name: str
    title: str
    packages: Sequence[str]
    servers: Sequence[str]
    workers: Sequence[Sequence[str]]
    settings: Sequence[Setting]
    tasks: Mapping[str, int]
    reference: Mapping[str, float]

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(__file__).with_name(self.name)

    @property
    def requirements(self) -> Path:
        """The file with its pins."""
        return self.folder / "requirements.txt"

    def versions(self) -> Mapping[str, str]:
        """What it runs on."""
        pinned = pinned_versions(self.requirements)
        versions = {package: pinned[package] for package in self.packages}
        if REDIS in self.servers:
            versions["redis-server"] = program_version(redis_program(), "--version")
        return versions


def peer_sampler(peer: Peer, command: str) -> Sampler:
    """How a peer is sampled: servers and workers are started, its client enqueues and waits, and all is stopped.

    Args:
        peer: The peer.
        command: What `client.py` is asked to do: "process", "enqueue" or "latency".
    """

    async def sample() -> Figures:
        programs = programs_of(peer.name, peer.requirements)
        async with AsyncExitStack() as cleanup:
            directory = cleanup.enter_context(server_directory())
            urls = await cleanup.enter_async_context(running_servers(peer.servers, directory))
            environment = {**os.environ, **urls, "PYTHONPATH": str(peer.folder)}
            python = str(programs / "python")
            if (peer.folder / "schema.py").exists():
                await _output([python, "-m", "schema"], environment)
            workers = (
                [] if command == "enqueue" else await _start_workers(peer, programs, environment, directory, cleanup)
            )
            try:
                said = await _output([python, "-m", "client", command, str(peer.tasks[command])], environment)
            except MeasurementError as error:
                tails = "; ".join(worker.log_tail() for worker in workers)
                raise MeasurementError(f"{error} The workers said: {tails}") from error
        figures: Figures = json.loads(said.splitlines()[-1])
        return figures

    return sample


async def _start_workers(
    peer: Peer, programs: Path, environment: Mapping[str, str], directory: Path, cleanup: AsyncExitStack
) -> Sequence[ChildProcess]:
    """Start them; that they are ready is for the client to find out, which waits for some tasks before it measures."""
    workers = []
    for number, (program, *arguments) in enumerate(peer.workers):
        worker = ChildProcess(
            f"worker-{number}", pid_file=directory / f"{number}.pid", log_file=directory / f"{number}.log"
        )
        cleanup.push_async_callback(worker.stop)
        await worker.spawn([str(programs / program), *arguments], environment=environment)
        workers.append(worker)
    return workers


async def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_CLIENT_WITHIN_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise MeasurementError(f"{' '.join(command[1:])} did not end within {_CLIENT_WITHIN_SECONDS} s.") from None
    if process.returncode != 0:
        raise MeasurementError(f"{' '.join(command[1:])}: {errors.decode(errors='replace')[-800:]}")
    return output.decode()
