"""A load balancer, as stands before several gateways: each connection goes to the next one that takes it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from taskmill.cli.embedded.ports import LOOPBACK, free_port
from tests.support.forwarding import Connections, join


class Balancer:
    """Forwards a port of its own to several others on this machine.

    Args:
        targets: Tells which those are now; an `OSError` means none.
    """

    def __init__(self, targets: Callable[[], Sequence[int]]) -> None:
        self.port = free_port()
        self._targets = targets
        self._turn = 0
        self._connections = Connections()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to forward, unless it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Stop listening, and break every connection; it may be started again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._connections.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.note()
        try:
            await join(reader, writer, *await self._connect())
        except (OSError, asyncio.CancelledError):
            # Cancelled by `stop` only: the task ends here in any case.
            pass
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ports = self._targets()
        self._turn += 1
        for index in range(len(ports)):
            with suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, ports[(self._turn + index) % len(ports)])
        raise ConnectionRefusedError("no gateway takes a connection")
