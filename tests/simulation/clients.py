"""Clients: they create tasks, interfere with them, and repeat under its key what was not answered."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from taskmill.contracts.errors import QueueFullError, RequestError, StoreUnavailableError, UnavailableError
from taskmill.contracts.requests import (
    CancelTask,
    CreateTask,
    CreateTasks,
    DeleteTask,
    IdempotencyKey,
    ProcessTask,
    UpdateTask,
)
from taskmill.contracts.status import Priority
from taskmill.task_store.domain.operations import Answer
from tests.chaos.checker.history import Operation, Outcome, SeenTask
from tests.simulation.database import Database
from tests.simulation.handlers import FAILS_WITH
from tests.simulation.scheduler import Life, Steps
from tests.simulation.store import TaskStore
from tests.simulation.world import REQUEST_TIMEOUT_SECONDS, World
from tests.simulation.writer import Reply

_FINGERPRINT = "a" * 64
_KINDS = ["steady"] * 5 + ["flaky", "slow"] * 2 + ["hopeless", "rare"]
_STATUSES = ["pending", "in_progress", "completed"]


class Population:
    """What the clients of a run share.

    Attributes:
        operations: Their history.
        task_ids: Every task that somebody knows.
        kept_by_hand: Those whose status somebody tried to set.
        poison_left: How many tasks may still be made that end their processor.
    """

    def __init__(self, poison: int) -> None:
        self.operations: list[Operation] = []
        self.task_ids: list[UUID] = []
        self.kept_by_hand: set[UUID] = set()
        self.poison_left = poison
        self._keys = 0

    def new_key(self) -> str:
        """A key that nobody used."""
        self._keys += 1
        return f"k{self._keys}"


class Client:
    """Does one thing after the other. When the faults are over, it gives to processors what is kept by hand.

    Args:
        number: Unique among the clients.
        world: The run.
        stores: Who may be asked.
        database: Where it reads.
        population: What it shares with the others.
        actions: How many things it does.
    """

    def __init__(
        self,
        number: int,
        world: World,
        stores: Sequence[TaskStore],
        database: Database,
        population: Population,
        *,
        actions: int,
    ) -> None:
        self.life = Life()
        self.is_done = False
        self._number = number
        self._world = world
        self._stores = stores
        self._database = database
        self._population = population
        self._replies: dict[int, Reply] = {}
        self._asked = 0
        self._activity = world.scheduler.spawn(self.life, self._live(actions))

    def _live(self, actions: int) -> Steps[None]:
        verbs = [self._create] * 4 + [self._create_many, self._process, self._cancel, self._cancel]
        verbs += [self._update, self._set_status, self._set_status, self._delete, self._read]
        random = self._world.random
        yield from self._create()
        for _ in range(actions):
            yield random.choice([0.0, 0.05, 0.5, 1.5, 3.0])
            yield from random.choice(verbs)()
        self.is_done = True

    def finish(self) -> None:
        """Have everything processed that is kept by hand."""
        self.is_done = False
        self._activity = self._world.scheduler.spawn(self.life, self._finish())

    def _finish(self) -> Steps[None]:
        for task_id in self._population.task_ids:
            # A full queue refuses it for a while.
            while self._is_kept_by_hand(task_id):
                yield from self._keyed("process", partial(ProcessTask, id=task_id), task_id=task_id)
                yield 0.1
        self.is_done = True

    def _is_kept_by_hand(self, task_id: UUID) -> bool:
        task = self._database.tasks.get(task_id)
        if task is None or task_id not in self._population.kept_by_hand:
            return False
        return not task.is_run_active and task.status in _STATUSES

    # What it asks for.

    def _new_task(self) -> dict[str, Any]:
        random, population = self._world.random, self._population
        kind = random.choice(_KINDS)
        if population.poison_left:
            population.poison_left -= 1
            kind = "poison"
        labels = {"mark": population.new_key()}
        if kind in FAILS_WITH:
            labels["fails_with"] = FAILS_WITH[kind]
        task: dict[str, Any] = {"title": "Task", "kind": kind, "labels": labels}
        when = random.random()
        if when < 0.65:
            task["process"] = True
        elif when < 0.85:
            task["run_at"] = self._world.scheduler.utc() + timedelta(seconds=random.choice([-1, 0.5, 2, 4]))
        return task

    def _create(self) -> Steps[None]:
        task = self._new_task()
        marks = (task["labels"]["mark"],)
        if self._world.random.random() < 0.2:
            yield from self._once("create", CreateTask(id=self._world.new_id(), **task), marks=marks)
        else:
            yield from self._keyed(
                "create", lambda **key: CreateTask(id=self._world.new_id(), **task, **key), marks=marks
            )

    def _create_many(self) -> Steps[None]:
        tasks = [self._new_task() for _ in range(self._world.random.randrange(1, 4))]
        marks = tuple(task["labels"]["mark"] for task in tasks)
        yield from self._keyed(
            "create_many",
            lambda **key: CreateTasks(tasks=[CreateTask(id=self._world.new_id(), **task) for task in tasks], **key),
            marks=marks,
        )

    def _process(self) -> Steps[None]:
        yield from self._about_some("process", ProcessTask)

    def _cancel(self) -> Steps[None]:
        yield from self._about_some("cancel", CancelTask)

    def _about_some(self, verb: str, request: type[ProcessTask | CancelTask]) -> Steps[None]:
        task_id = self._some_task()
        if task_id is not None:
            yield from self._keyed(verb, partial(request, id=task_id), task_id=task_id)

    def _update(self) -> Steps[None]:
        task_id = self._some_task()
        if task_id is not None:
            priority = self._world.random.choice(list(Priority)).value
            change = self._world.random.choice([{"title": "Other"}, {"priority": priority}, {"payload": {"a": 1}}])
            yield from self._once("update", UpdateTask(id=task_id, changes=change), task_id=task_id)

    def _set_status(self) -> Steps[None]:
        task_id = self._some_task()
        if task_id is not None:
            self._population.kept_by_hand.add(task_id)
            status = self._world.random.choice(_STATUSES)
            yield from self._once("update", UpdateTask(id=task_id, changes={"status": status}), task_id=task_id)

    def _delete(self) -> Steps[None]:
        task_id = self._some_task()
        if task_id is not None:
            force = self._world.random.random() < 0.5
            yield from self._once("delete", DeleteTask(id=task_id, force=force), task_id=task_id)

    def _read(self) -> Steps[None]:
        task_id = self._some_task()
        if task_id is None:
            return
        self._log(Outcome.INVOKE, "read", task_id=str(task_id))
        yield self._world.latency()
        task = self._database.tasks.get(task_id)
        if task is None:
            is_deleted = any(event.task_id == task_id and event.type == "deleted" for event in self._database.log)
            self._log(Outcome.FAIL, "read", task_id=str(task_id), http_status=410 if is_deleted else 404)
        else:
            self._log(Outcome.OK, "read", seen=(SeenTask(str(task.id), task.version),), http_status=200)

    def _some_task(self) -> UUID | None:
        known = self._population.task_ids
        return self._world.random.choice(known[-6:]) if known else None

    # How it asks.

    def _keyed(self, verb: str, request: Callable[..., Any], **about: Any) -> Steps[None]:
        """Ask under a key, again and again until it is answered."""
        key = self._population.new_key()
        idempotency = IdempotencyKey(key=key, fingerprint=_FINGERPRINT)
        while not (yield from self._ask(verb, request(idempotency=idempotency), key=key, **about)):
            yield self._world.random.uniform(0.05, 0.5)

    def _once(self, verb: str, request: Any, **about: Any) -> Steps[None]:
        """Ask without a key, and never know if nobody answers."""
        yield from self._ask(verb, request, **about)

    def _ask(self, verb: str, request: Any, **about: Any) -> Steps[bool]:
        """Ask; return whether it was answered."""
        if "task_id" in about:
            about["task_id"] = str(about["task_id"])
        self._log(Outcome.INVOKE, verb, **about)
        key = about.get("key")
        answer = yield from self._exchange(request)
        if isinstance(answer, UnavailableError):
            self._log(Outcome.INFO, verb, key=key, http_status=503, problem=answer.code)
            return False
        if isinstance(answer, RequestError):
            self._log(Outcome.FAIL, verb, key=key, http_status=429 if isinstance(answer, QueueFullError) else 409)
            return True
        seen = _seen(answer)
        if verb.startswith("create"):
            self._population.task_ids += [UUID(task.task_id) for task in seen]
        is_replayed = answer.keyed is not None and answer.keyed.is_replayed
        self._world.signs["replays"] += is_replayed
        self._log(Outcome.OK, verb, key=key, seen=seen, http_status=200, is_replayed=is_replayed)
        return True

    def _exchange(self, request: Any) -> Steps[Reply]:
        alive = [store for store in self._stores if not store.life.is_over]
        self._asked += 1
        number = self._asked
        if alive:
            store = self._world.random.choice(alive)
            answered = partial(self._on_answer, number)
            # A copy that comes late might be carried out after the other was refused.
            mailbox = store.creator if isinstance(request, CreateTask | CreateTasks) else store.writer
            self._world.send(store, lambda: mailbox.offer(request, answered), may_be_doubled=False)
        yield REQUEST_TIMEOUT_SECONDS
        return self._replies.pop(number, None) or StoreUnavailableError()

    def _on_answer(self, number: int, answer: Reply) -> None:
        self._world.send(self, partial(self._receive, number, answer))

    def _receive(self, number: int, answer: Reply) -> None:
        # The answer to a request that is given up, or the second one, comes to nobody.
        if number == self._asked and number not in self._replies:
            self._replies[number] = answer
            self._activity.wake()

    def _log(self, outcome: Outcome, verb: str, **details: Any) -> None:
        self._world.note(f"client-{self._number}", outcome, verb, *details.values())
        at = self._world.seconds_since_epoch()
        self._population.operations.append(Operation(outcome, self._number, verb, at=at, **details))


def _seen(answer: Answer) -> tuple[SeenTask, ...]:
    """The tasks that an answer shows."""
    if answer.keyed is None:
        return tuple(SeenTask(str(state.id), state.version) for state in answer.states)
    document = orjson.loads(answer.keyed.document)
    return tuple(SeenTask(task["id"], task["version"]) for task in document.get("items", [document]))
