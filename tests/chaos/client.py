"""A client that repeats what it does not know the outcome of, and writes down everything that it is told."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.checker.history import Operation, Outcome, SeenTask
from tests.chaos.http_connection import HttpAnswer, HttpConnection

SETTLED_WITHIN_SECONDS = 120
_PAUSE_SECONDS = 0.3
_FOLLOW_UPS = ("on_completed", "on_failed")
_TRY_AGAIN = {429, 500, 502, 503, 504}

Record = Callable[[Operation], None]


class Client:
    """Does one thing after the other.

    Args:
        number: Which client it is.
        ports: Where the gateways listen.
        chance: Its own source of randomness.
        record: Takes each line of the history.
    """

    def __init__(self, number: int, ports: Sequence[int], chance: random.Random, record: Record) -> None:
        self.number = number
        self.chance = chance
        first = number % len(ports)
        self._connection = HttpConnection([*ports[first:], *ports[:first]])
        self._record = record
        self._keys = itertools.count(1)
        self._tasks = 0

    async def create(self, task: dict[str, Any]) -> str | None:
        """Create a task; return its id, or None when it was refused."""
        seen = await self._settle("create", "/tasks", self._marked(task))
        return seen[0].task_id if seen else None

    async def create_many(self, tasks: Sequence[dict[str, Any]]) -> list[str]:
        """Create tasks, all or none; return their ids."""
        body = {"tasks": [self._marked(task) for task in tasks]}
        return [seen.task_id for seen in await self._settle("create_many", "/tasks/batch", body)]

    async def create_group(self, tasks: Sequence[dict[str, Any]], follow_up: dict[str, Any]) -> None:
        """Create a group, with a task for either outcome."""
        follow_ups = {name: self._marked(follow_up) for name in _FOLLOW_UPS}
        body = {"title": "Chaos", "tasks": [self._marked(task) for task in tasks], **follow_ups}
        await self._settle("create_group", "/groups", body)

    async def process(self, task_id: str) -> None:
        """Ask for a task to be processed."""
        await self._settle("process", f"/tasks/{task_id}/process", task_id=task_id)

    async def cancel(self, task_id: str) -> None:
        """Ask for a task to be cancelled; it may be too late."""
        await self._settle("cancel", f"/tasks/{task_id}/cancel", task_id=task_id)

    async def delete(self, task_id: str, *, force: bool) -> None:
        """Delete a task; without `force` this is refused while a run of it is active."""
        path = f"/tasks/{task_id}?force={str(force).lower()}"
        await self._settle("delete", path, method="DELETE", task_id=task_id)

    async def pause(self, queue: str, seconds: float) -> None:
        """Have a queue paused for some time."""
        await self._settle("pause", f"/queues/{queue}/pause")
        await asyncio.sleep(seconds)
        await self._settle("resume", f"/queues/{queue}/resume")

    async def begin_schedule(self, schedule: dict[str, Any]) -> None:
        """Have tasks made again and again."""
        await self._settle("begin_schedule", "/schedules", schedule)

    async def end_schedules(self) -> None:
        """Have no more tasks made by schedules."""
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        answer = None
        while (answer is None or answer.status != 200) and time.monotonic() < deadline:
            answer = await self._connection.ask("GET", "/schedules")
        for schedule in answer.body["items"] if answer is not None and answer.body else []:
            body = {"is_paused": True}
            await self._settle("end_schedule", f"/schedules/{schedule['id']}", body, method="PATCH")

    async def read(self, task_id: str) -> None:
        """Read a task once; no answer is an answer, too."""
        self._write(Outcome.INVOKE, "read", task_id=task_id)
        answer = await self._connection.ask("GET", f"/tasks/{task_id}")
        self._write_answer("read", answer, key=None, task_id=task_id)

    def close(self) -> None:
        """Break its connection."""
        self._connection.close()

    def _marked(self, task: dict[str, Any]) -> dict[str, Any]:
        self._tasks += 1
        labels = {**task.get("labels", {}), "mark": f"{self.number}-{self._tasks}"}
        return {"title": "Chaos", **task, "labels": labels}

    async def _settle(
        self, verb: str, path: str, body: Any = None, *, method: str = "POST", task_id: str | None = None
    ) -> tuple[SeenTask, ...]:
        """Repeat a request under one key until its outcome is known; return what an answer of 2xx showed."""
        key = f"chaos-{self.number}-{next(self._keys)}"
        tasks = [] if body is None else body.get("tasks", [body])
        tasks = [*tasks, *(body[name] for name in _FOLLOW_UPS if body and name in body)]
        marks = tuple(task["labels"]["mark"] for task in tasks if "labels" in task)
        unique_key = next((task["unique"]["key"] for task in tasks if "unique" in task), None)
        # Now and then once more although it is known: the answer must be the same.
        repeats = 1 if self.chance.random() < 0.05 else 0
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while time.monotonic() < deadline:
            self._write(Outcome.INVOKE, verb, key=key, marks=marks, unique_key=unique_key, task_id=task_id)
            answer = await self._connection.ask(method, path, body, key=key)
            outcome, seen = self._write_answer(verb, answer, key=key, task_id=task_id)
            if outcome is Outcome.INFO:
                await asyncio.sleep(_PAUSE_SECONDS * (1 + self.chance.random()))
            elif outcome is Outcome.FAIL or repeats == 0:
                return seen
            else:
                repeats -= 1
        return ()

    def _write_answer(
        self, verb: str, answer: HttpAnswer | None, *, key: str | None, task_id: str | None
    ) -> tuple[Outcome, tuple[SeenTask, ...]]:
        if answer is None:
            self._write(Outcome.INFO, verb, key=key, task_id=task_id)
            return Outcome.INFO, ()
        outcome = _outcome(answer)
        seen = _seen(answer) if outcome is Outcome.OK else ()
        self._write(
            outcome,
            verb,
            key=key,
            task_id=task_id,
            seen=seen,
            http_status=answer.status,
            problem=None if outcome is Outcome.OK else _problem_code(answer),
            is_problem_sound=answer.status < 400 or _is_problem_sound(answer),
            is_replayed=answer.headers.get("idempotent-replayed") == "true",
        )
        return outcome, seen

    def _write(self, outcome: Outcome, verb: str, **details: Any) -> None:
        self._record(Operation(outcome=outcome, client=self.number, verb=verb, at=time.time(), **details))


def _outcome(answer: HttpAnswer) -> Outcome:
    if answer.status < 400:
        return Outcome.OK
    return Outcome.INFO if answer.status in _TRY_AGAIN else Outcome.FAIL


def _seen(answer: HttpAnswer) -> tuple[SeenTask, ...]:
    tasks = [] if answer.body is None else answer.body.get("items", [answer.body])
    return tuple(SeenTask(task["id"], task["version"]) for task in tasks if "version" in task)


def _problem_code(answer: HttpAnswer) -> str | None:
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    return None if code is None else str(code)


def _is_problem_sound(answer: HttpAnswer) -> bool:
    is_problem = answer.headers.get("content-type") == "application/problem+json" and _problem_code(answer) is not None
    return is_problem and (answer.status != 503 or "retry-after" in answer.headers)
