"""The process of handlers that want one of their own.

It executes one call after another that a processor sends over a socket, and ends with it.
"""

import importlib
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from pydantic import JsonValue

from taskmill.contracts.reports import HandlerReport
from taskmill.contracts.work import WorkItem
from taskmill.runtime.settings import LogSettings
from taskmill.runtime.telemetry import configure_logging
from taskmill.sdk.context import Context
from taskmill.sdk.errors import NotNow
from taskmill.sdk.handler import Handler, handlers_of
from taskmill.sdk.outcome import Failure, failure_of, put_off_seconds, result_json


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be called.

    Attributes:
        module: Where the function is defined.
        name: Its qualified name there.
        search_path: Where modules are looked for.
        work_item: The message that asks for the attempt.
        deadline: When its time is over, in UTC; None: never.
    """

    module: str
    name: str
    search_path: list[str]
    work_item: WorkItem
    deadline: datetime | None

    @classmethod
    def of(cls, handler: Handler, work_item: WorkItem, deadline: datetime | None) -> "Call":
        """The call of a handler."""
        function = handler.original
        return cls(function.__module__, function.__qualname__, sys.path, work_item, deadline)

    def handler(self) -> Handler:
        """Find the handler, in the process that calls it."""
        sys.path[:] = self.search_path
        found: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part)
        return handlers_of(found)[self.work_item.kind]


@dataclass(frozen=True, slots=True)
class Told:
    """The handler said something."""

    report_type: type[HandlerReport]
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Extended:
    """The handler asked for more time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned."""

    result_json: bytes


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler raised."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class PutOff:
    """The handler raised `NotNow`."""

    after_seconds: float


@dataclass(frozen=True, slots=True)
class ShutDown:
    """The processor ends."""


Answer = Told | Extended | Returned | Raised | PutOff


class _Control:
    """How the attempt stands; it cannot be cancelled, for then its process is killed."""

    is_cancelled = False

    def __init__(self, child: "Child", voice: "_Voice", deadline: datetime | None) -> None:
        self.deadline = deadline
        self._child = child
        self._voice = voice

    @property
    def is_shutting_down(self) -> bool:
        return self._child.is_shutting_down

    def extend(self, seconds: float) -> None:
        if self.deadline is not None:
            self.deadline = datetime.now(UTC) + timedelta(seconds=seconds)
            self._voice.send(Extended(seconds))


class _Voice:
    """What the handler of one call says, until it has ended: a thread that it left behind speaks for no other task."""

    def __init__(self, child: "Child") -> None:
        self._child = child
        self._lock = threading.Lock()
        self._is_closed = False

    def tell(self, report_type: type[HandlerReport], /, **content: JsonValue) -> None:
        self.send(Told(report_type, content))

    def send(self, answer: Answer) -> None:
        with self._lock:
            if not self._is_closed:
                self._child.send(answer)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True


class Child:
    """Executes calls, in the main thread, where a handler's own signal handlers and libraries expect to be.

    Args:
        connection: Where calls come from and answers go.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._sending = threading.Lock()
        self.is_shutting_down = False
        """Whether the processor ends."""

    def serve(self) -> None:
        """Execute calls for ever; the process ends when the other end is gone."""
        threading.Thread(target=self._receive, daemon=True).start()
        while True:
            self.send(self._execute(self._calls.get()))

    def _receive(self) -> None:
        try:
            while True:
                received = self._connection.recv()
                if isinstance(received, ShutDown):
                    self.is_shutting_down = True
                else:
                    self._calls.put(received)
        except (EOFError, OSError):
            # Whatever the handler does: nobody is left to hear of it, and another processor will do the work.
            os._exit(0)

    def _execute(self, call: Call) -> Answer:
        give_up: tuple[type[Exception], ...] = ()
        voice = _Voice(self)
        try:
            handler = call.handler()
            give_up = handler.give_up
            context = Context(call.work_item, voice.tell, control=_Control(self, voice, call.deadline))
            return Returned(result_json(handler.function(handler.read(call.work_item.payload), context)))
        except BaseException as error:  # also SystemExit: a handler does not end its process
            after_seconds = put_off_seconds(error) if isinstance(error, NotNow) else None
            return Raised(failure_of(error, give_up=give_up)) if after_seconds is None else PutOff(after_seconds)
        finally:
            voice.close()

    def send(self, answer: Answer) -> None:
        """Tell the processor something. From any thread."""
        with self._sending:
            self._connection.send(answer)


def main() -> None:
    """Serve the socket whose file descriptor is the first argument; the second is the service that it works for."""
    if service := sys.argv[2]:
        configure_logging(service, LogSettings())
    Child(Connection(int(sys.argv[1]))).serve()
