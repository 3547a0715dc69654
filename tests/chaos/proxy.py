"""A TCP proxy on one edge between two processes, which can delay, cut or half-open it."""

import asyncio
from contextlib import suppress

from taskmill.cli.embedded.ports import LOOPBACK, free_port

_CHUNK_BYTES = 64 * 1024


class TcpProxy:
    """Forwards a port of its own to another one on this machine.

    Args:
        name: The edge, such as "task-store to postgres".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._target_port = 0
        self._delay_seconds = 0.0
        self._is_cut = False
        self._answers_pass = asyncio.Event()
        self._answers_pass.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, target_port: int) -> None:
        """Begin to forward."""
        self._target_port = target_port
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Stop listening, and break every connection."""
        if self._server is not None:
            self._server.close()
        await self._break_all()

    def delay(self, seconds: float) -> None:
        """Hold back every chunk, in both directions, for a while."""
        self._delay_seconds = seconds

    async def cut(self) -> None:
        """Break every connection, and every new one at once."""
        self._is_cut = True
        await self._break_all()

    def half_open(self) -> None:
        """Let requests pass, and hold back what comes back: neither side sees the connection break."""
        self._answers_pass.clear()

    def heal(self) -> None:
        """Forward as if nothing had been; what was held back arrives now."""
        self._delay_seconds = 0.0
        self._is_cut = False
        self._answers_pass.set()

    async def _break_all(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if not self._is_cut:
                await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            # Cancelled by `cut` or `stop` only: the task ends here in any case.
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
        directions = [
            asyncio.create_task(self._copy(reader, target_writer, is_answer=False)),
            asyncio.create_task(self._copy(target_reader, writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            target_writer.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                if is_answer:
                    await self._answers_pass.wait()
                sink.write(chunk)
                await sink.drain()
