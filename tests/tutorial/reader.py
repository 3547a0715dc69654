"""Somebody who follows docs/tutorial.md word for word."""

import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from taskmill.cli.embedded.ports import free_port, remember_port
from tests.tutorial.page import Save, Type, steps
from tests.tutorial.terminal import Terminal, terminal

PROJECT = "thumbs"
"""The folder of the project, as the page calls it."""


@dataclass
class Reader:
    """Follows a page, in terminals of their own.

    Args:
        folder: Where the reader begins. The clone is its folder `taskmill`.
        within_seconds: How long each step may take.
        tell: Is told what is done.
    """

    folder: Path
    within_seconds: float = 120
    tell: Callable[[str], None] = lambda _: None
    terminals: dict[int, Terminal] = field(default_factory=dict)
    typed_at: dict[str, float] = field(default_factory=dict)
    """When each command was typed first, by `time.monotonic`."""
    done_at: dict[str, float] = field(default_factory=dict)
    """When it had printed what it should, or had ended."""

    async def follow(self, page: str) -> None:
        """Do all that a page says.

        Raises:
            AssertionError: Something does not happen that the page says.
        """
        environment = self._environment()
        async with AsyncExitStack() as stack:
            for step in steps(page):
                match step:
                    case Save(name, text):
                        (self.folder / PROJECT / name).write_text(text)
                    case Type(number):
                        if number not in self.terminals:
                            opened = await stack.enter_async_context(terminal(self.folder, environment))
                            self.terminals[number] = opened
                        await self._type(self.terminals[number], step)

    async def _type(self, opened: Terminal, step: Type) -> None:
        self.tell(f"{step.terminal} $ {step.command}")
        if step.command:
            await opened.type(step.command, within_seconds=self.within_seconds)
            self.typed_at.setdefault(step.command, time.monotonic())
        if step.printed:
            await opened.printed(step.printed, within_seconds=self.within_seconds)
        else:
            await opened.prompt(within_seconds=self.within_seconds)
        self.done_at.setdefault(step.command, time.monotonic())

    def _environment(self) -> dict[str, str]:
        """As the page has it, but for the ports: others may be at work on this machine."""
        data, nats_port, port = self.folder / "data", free_port(), free_port()
        (data / "nats").mkdir(parents=True)
        remember_port(data / "nats" / "port", nats_port)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS", "PYTEST_", "TASKMILL_", "VIRTUAL_ENV"))
        }
        return {
            **inherited,
            "TASKMILL_DATA": str(data),
            "TASKMILL_PORT": str(port),
            "TASKMILL_URL": f"http://127.0.0.1:{port}",
            "TASKMILL_NATS_URL": f"nats://127.0.0.1:{nats_port}",
            # As logs are in a terminal.
            "TASKMILL_LOG_FORMAT": "console",
        }
