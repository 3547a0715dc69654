"""Makes the tasks that the operations of a batch want: each once, in queues that have room, under its unique key."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from taskmill.contracts.errors import TaskExistsError, TooManyQueuesError, UniqueKeyHeldError
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.requests import CreateTask, IdentifiedTask
from taskmill.task_store.domain.creation import Owners, decide_create
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import FOLLOWS_GROUP, READY, Precedence, check_existence, precedence
from taskmill.task_store.domain.endings import decide_cancel
from taskmill.task_store.domain.groups import follow_ups
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.schedules import Wanted
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.tasks import TaskBook
from taskmill.task_store.domain.turns import LimitRules
from taskmill.task_store.domain.unique_keys import Placing, UniqueBook, arrivals


class TaskMaker:
    """Makes tasks, or refuses to and leaves everything as it was.

    Args:
        tasks: Where they are noted.
        used_ids: Those of the ids of tasks to be created that exist, or existed and were deleted.
        queues: Where they wait.
        kinds: What is declared for kinds.
        unique: The unique keys.
        limits: They say which of them must wait for their turn.
        dispatch_floor: Their dispatches have numbers above this; see `LogEpoch`.
        now: The moment of the whole batch.
    """

    def __init__(
        self,
        tasks: TaskBook,
        used_ids: Iterable[UUID],
        *,
        queues: QueueBook,
        kinds: KindBook,
        unique: UniqueBook,
        limits: LimitRules,
        dispatch_floor: int,
        now: datetime,
    ) -> None:
        self._tasks = tasks
        self._used_ids = set(used_ids)
        self._queues = queues
        self._kinds = kinds
        self._unique = unique
        self._limits = limits
        self._dispatch_floor = dispatch_floor
        self._now = now

    def make(self, request: CreateTask) -> Placing:
        """Make the task that a client wants; what it is told of may be another one, by its unique key.

        Raises:
            RequestError: It is refused.
        """
        if request.id in self._used_ids:
            raise TaskExistsError(request.id)
        if request.after:
            check_existence((request,), self._tasks.states, "")
        placing = self._place(request)
        self._queues.admit((placing.state.queue,), arrivals((placing,)))
        self._take(placing)
        return placing

    def make_all(self, requests: Sequence[IdentifiedTask], *, group: CreateGroup | None = None) -> list[Placing]:
        """Make several tasks that a client wants, all or none.

        Args:
            requests: What is wanted.
            group: The group that they belong to, whose follow-ups are made behind them.

        Raises:
            RequestError: One of them is refused.
        """
        held = [] if group is None else follow_ups(group)
        new_ids: set[UUID] = set()
        for request in (*requests, *held):
            if request.id in self._used_ids or request.id in new_ids:
                raise TaskExistsError(request.id)
            new_ids.add(request.id)
        if any(request.after for request in requests):
            check_existence(requests, self._tasks.states, "/tasks/{}")
        create = partial(self._decide, group_id=None if group is None else group.id)
        placings = self._unique.place_all(requests, create, self._tasks.states, self._now)
        placings += [Placing((self._decide(request, FOLLOWS_GROUP),)) for request in held]
        self._queues.admit([placing.state.queue for placing in placings], arrivals(placings))
        for placing in placings:
            self._take(placing)
        return placings

    def make_scheduled(self, wanted: Wanted) -> list[TaskState]:
        """Make the tasks of a schedule that do not exist, nor did.

        Raises:
            RequestError: There is no room for them.
        """
        new = [task for task in wanted.tasks if not self._exists(task.id)]
        decisions = [self._decide(task, schedule_id=wanted.schedule_id) for task in new]
        # They are made of one template, and so are of one queue.
        for state, *_ in decisions[:1]:
            self._queues.admit((state.queue,), {state.queue: len(decisions)} if wanted.is_asked else {})
        if decisions:
            for task_id in wanted.cancelled:
                self._tasks.take(decide_cancel(self._tasks.states[task_id], self._now))
        self._used_ids.update(task.id for task in new)
        return [self._tasks.take(decision) for decision in decisions]

    def make_submitted(self, task: IdentifiedTask, by: TaskState) -> None:
        """Make the task that a handler wants, unless it exists, or did. Nobody can be told that it is not made."""
        if self._exists(task.id):
            return
        task = task.model_copy(update={"traceparent": by.traceparent})
        try:
            placing = self._place(task)
            # Like all that the store does without being asked by a client, it has room in a queue that is full.
            self._queues.admit((placing.state.queue,))
        except UniqueKeyHeldError:
            # The task that holds the key stands for it.
            return
        except TooManyQueuesError:
            placing = self._place(task.model_copy(update={"queue": by.queue}))
        self._take(placing)

    def _exists(self, task_id: UUID) -> bool:
        return task_id in self._used_ids or task_id in self._tasks.states

    def _place(self, request: IdentifiedTask) -> Placing:
        return self._unique.place(request, self._decide, self._tasks.states, self._now)

    def _decide(
        self,
        request: IdentifiedTask,
        comes_after: Precedence | None = None,
        *,
        schedule_id: UUID | None = None,
        group_id: UUID | None = None,
    ) -> Decision:
        if comes_after is None:
            comes_after = precedence(request, self._tasks.states) if request.after else READY
        return decide_create(
            request,
            self._kinds.defaults(request.kind),
            self._now,
            limits=self._limits,
            precedence=comes_after,
            belongs_to=Owners(group_id, schedule_id),
            dispatch_floor=self._dispatch_floor,
        )

    def _take(self, placing: Placing) -> None:
        if placing.is_new:
            self._used_ids.add(placing.state.id)
            self._unique.hold(placing.hold)
        for decision in placing.decisions:
            self._tasks.take(decision)
