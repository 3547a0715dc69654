"""Three nats-servers that are one: each stream is kept by all of them, and any one may die."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamClientError

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.ports import LOOPBACK, free_port
from tests.support.eventually import holds
from tests.support.nats_keys import put_keys, violations

NODES = 3


class ClusterNode(NatsServer):
    """One of the servers.

    Args:
        data_dir: Where it keeps everything.
        name: Its name in the cluster.
        own_port: Where the others reach it.
        ports: Where they reach one another.
    """

    def __init__(self, data_dir: Path, *, name: str, own_port: int, ports: Sequence[int]) -> None:
        super().__init__(data_dir)
        self.node = name
        routes = ", ".join(f"nats://{LOOPBACK}:{port}" for port in ports)
        self._cluster = f'cluster {{ name: tests, listen: "{LOOPBACK}:{own_port}", routes: [{routes}] }}\n'

    def _command(self, port: int) -> Sequence[str]:
        command = super()._command(port)
        file = Path(command[-1])
        file.write_text(file.read_text().replace("server_name: taskmill", f"server_name: {self.node}") + self._cluster)
        return command


class NatsCluster:
    """The servers.

    Args:
        directory: Where they keep everything.
    """

    def __init__(self, directory: Path) -> None:
        ports = [free_port() for _ in range(NODES)]
        self.nodes = [
            ClusterNode(directory / f"node-{number}", name=f"node-{number}", own_port=port, ports=ports)
            for number, port in enumerate(ports, 1)
        ]

    @property
    def url(self) -> str:
        """Where clients find them: one address after another."""
        return ",".join(node.url for node in self.nodes)

    async def start(self) -> None:
        """Start all, and return when streams can be made that all of them keep."""
        for node in self.nodes:
            put_keys(node.data_dir)
        await asyncio.gather(*(node.start() for node in self.nodes))
        async with self._client() as client:
            jetstream = client.jetstream(timeout=5)

            async def check_makes_streams() -> None:
                try:
                    await jetstream.add_stream(name="TRIAL", subjects=["trial"], num_replicas=NODES)
                    await jetstream.delete_stream("TRIAL")
                except (JetStreamClientError, nats.errors.Error) as error:
                    raise AssertionError("it makes no streams yet") from error

            await holds(check_makes_streams, within_seconds=30)

    async def stop(self) -> None:
        """Stop all."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def is_whole(self) -> None:
        """Return when every stream has a leader, and every other server has all that the leader has."""
        async with self._client() as client:
            jetstream = client.jetstream(timeout=5)

            async def check_whole() -> None:
                try:
                    streams = await jetstream.streams_info()
                except (JetStreamClientError, nats.errors.Error) as error:
                    raise AssertionError("JetStream does not answer") from error
                assert streams
                for stream in streams:
                    assert stream.cluster is not None
                    replicas = stream.cluster.replicas or []
                    assert stream.cluster.leader, stream
                    assert [replica.current for replica in replicas] == [True] * (NODES - 1), stream

            await holds(check_whole, within_seconds=60)

    async def leader_of(self, stream: str) -> int:
        """Which of the servers leads a stream: its place among `nodes`."""
        async with self._client() as client:
            info = await client.jetstream(timeout=5).stream_info(stream)
        assert info.cluster is not None
        return [node.node for node in self.nodes].index(info.cluster.leader or "")

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        client = await nats.connect([node.url for node in self.nodes])
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def nats_cluster() -> AsyncIterator[NatsCluster]:
    """Yield a cluster that nobody else uses."""
    with server_directory() as directory:
        cluster = NatsCluster(directory)
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.stop()
        for node in cluster.nodes:
            assert violations(node.log_file) == []
