"""What all parts of one simulated run share: its clock, its dice, its network, and what was seen."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from taskmill.contracts.errors import BusUnavailableError, TaskmillError
from taskmill.contracts.status import TaskStatus
from taskmill.processor.domain.held_attempt import ReportKey
from taskmill.task_store.domain.lifecycle import Cause
from taskmill.task_store.domain.runs import RunRules
from tests.chaos.checker.history import Effect, FaultWindow
from tests.simulation.scheduler import EPOCH, Life, Scheduler, Steps

T = TypeVar("T")

RULES = RunRules(
    lease=timedelta(seconds=5),
    unknown_kind_backoff=timedelta(seconds=1),
    max_unknown_kind_backoff=timedelta(seconds=8),
)
ACK_WAIT_SECONDS = 3.0
BEAT_SECONDS = 1.0
RECONCILE_SECONDS = 1.0
LEADER_SECONDS = 3.0
MAX_LATE_SECONDS = 8.0
REQUEST_TIMEOUT_SECONDS = 1.0


class Taken(NamedTuple):
    """A way that a task took through the lifecycle."""

    by: Cause
    source: TaskStatus
    target: TaskStatus


@dataclass
class Weather:
    """How bad the network is. Shares from 0 to 1; until the weather clears up."""

    lost: float = 0.0
    """Of the messages, and of the answers to requests."""
    late: float = 0.0
    """Of the messages: they take seconds, and come after others that were sent later."""
    doubled: float = 0.0
    """Of the messages that nobody answers."""

    def clear(self) -> None:
        """From now on every message arrives."""
        self.lost = self.late = self.doubled = 0.0


class Host(Protocol):
    """Somebody that messages are sent to."""

    life: Life
    """The present one: a message that is under way does not survive it."""


@dataclass
class World:
    """One run.

    Attributes:
        seed: Decides everything.
        is_traced: Whether `trace` is to be kept.
        signs: How often what was seen, without which runs prove nothing.
        taken: The ways through the lifecycle that tasks took.
        effects: What handlers truly did.
        submitted: The tasks that each execution submitted, by its name.
        executed: Who executed work under the same three numbers: several, when the broker forgot that it delivered.
        lines: The lines that each execution wrote, by its name: their numbers.
        reported: The executions whose `completed` report reached the stream of reports.
        stored_endings: When it was certain that the report of an execution's end is in the stream of reports.
        faults: What went wrong, and when.
    """

    seed: int
    is_traced: bool = False
    weather: Weather = field(default_factory=Weather)
    random: Random = field(init=False)
    scheduler: Scheduler = field(init=False)
    trace: list[str] = field(default_factory=list)
    signs: Counter[str] = field(default_factory=Counter)
    taken: set[Taken] = field(default_factory=set)
    effects: list[Effect] = field(default_factory=list)
    submitted: dict[str, list[UUID]] = field(default_factory=dict)
    executed: dict[ReportKey, set[str]] = field(default_factory=dict)
    lines: dict[str, set[int]] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    stored_endings: dict[ReportKey, datetime] = field(default_factory=dict)
    faults: list[FaultWindow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.scheduler = Scheduler(self.random)

    def note(self, who: str, *what: object) -> None:
        """Keep a line of the trace."""
        if self.is_traced:
            self.trace.append(f"{self.scheduler.now:8.3f} {who:12} {' '.join(map(str, what))}")

    def seconds_since_epoch(self) -> float:
        """The clock on the wall, as the checker counts it."""
        return EPOCH.timestamp() + self.scheduler.now

    def new_id(self) -> UUID:
        """A task id: version 7 in form, though its time is random."""
        return UUID(int=self.random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)

    def latency(self) -> float:
        """How long a message takes that arrives, in seconds."""
        if self.random.random() < self.weather.late:
            return self.random.uniform(0.5, MAX_LATE_SECONDS)
        return self.random.uniform(0.001, 0.02)

    def is_lost(self) -> bool:
        """Whether a message does not arrive."""
        return self.random.random() < self.weather.lost

    def fault(self, name: str, target: str, seconds: float = 0.0) -> None:
        """Write down that something goes wrong, for so long."""
        self.note("nemesis", name, target)
        self.signs[name] += 1
        now = self.seconds_since_epoch()
        self.faults.append(FaultWindow(name, target, now, now + seconds))

    def send(self, host: Host, action: Callable[[], None], *, may_be_doubled: bool = True) -> None:
        """Let something happen at a host, unless the message that asks for it is lost. It may come twice."""
        copies = 1 + (may_be_doubled and self.random.random() < self.weather.doubled)
        for _ in range(copies):
            if not host.life.is_over and not self.is_lost():
                self.scheduler.after(self.latency(), host.life, action)

    def request(self, host: Host, action: Callable[[], T]) -> Steps[T]:
        """Ask a host for something that it does at once, and return its answer.

        Raises:
            BusUnavailableError: No answer: it is down, or the request or its answer is lost. It may have been done, or
                may still be.
        """
        # As in `send`: what is under way to a host that is killed does not arrive at the one that comes back.
        life = host.life
        yield self.latency()
        if life.is_over or self.is_lost():
            if self.random.random() < self.weather.late:
                self.scheduler.after(self.random.uniform(1, MAX_LATE_SECONDS), life, lambda: _do(action))
            yield REQUEST_TIMEOUT_SECONDS
            raise BusUnavailableError
        answer = action()
        if self.is_lost():
            yield REQUEST_TIMEOUT_SECONDS
            raise BusUnavailableError
        yield self.latency()
        return answer


def _do(action: Callable[[], object]) -> None:
    """Do what nobody waits for any more."""
    with suppress(TaskmillError):
        action()
