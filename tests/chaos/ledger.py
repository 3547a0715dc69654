"""The effects ledger: what handlers did, in a file that no server knows, on disk before the handler goes on."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from taskmill.sdk import Context
from tests.chaos.checker.history import Effect

LEDGER_VARIABLE = "CHAOS_LEDGER"
PROCESSOR_VARIABLE = "TASKMILL_PROCESSOR_ID"


class Ledger:
    """Appends to the file that all processors share. Lines are short, and `O_APPEND` keeps them whole.

    Async handlers wait for one fsync together: one for each would be the load, not the handlers.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._processor_id = os.environ.get(PROCESSOR_VARIABLE, "")
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._lock = threading.Lock()

    def append(self, execution: str, context: Context, phase: str) -> None:
        """Write one line, and return when it is on disk."""
        self._write([self._line(execution, context, phase)])

    async def append_soon(self, execution: str, context: Context, phase: str) -> None:
        """Write one line together with those of others, and return when it is on disk."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((self._line(execution, context, phase), written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting())
        await written

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, [line for line, _ in batch])
            for _, written in batch:
                if not written.done():
                    written.set_result(None)
        self._writer = None

    def _write(self, lines: Sequence[str]) -> None:
        with self._lock:
            os.write(self._file, "".join(lines).encode())
            os.fdatasync(self._file)

    def _line(self, execution: str, context: Context, phase: str) -> str:
        effect = Effect(
            execution=execution,
            task_id=str(context.task_id),
            run=context.run,
            attempt=context.attempt,
            processor_id=self._processor_id,
            phase=phase,
            at=time.time(),
        )
        return json.dumps(asdict(effect)) + "\n"
