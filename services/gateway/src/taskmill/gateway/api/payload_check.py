"""Finds tasks whose payload cannot fit."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from taskmill.contracts.errors import FieldProblem, RemoteError, UnavailableError
from taskmill.contracts.limits import MAX_REFUSAL_PROBLEMS
from taskmill.contracts.requests import ClientFields, NewTask
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas

TURN_SECONDS = 0.005
"""How long the payloads of a batch are compared before others have their turn."""

FRESH_SECONDS = 2.0
"""What was read longer ago is read anew before anybody is refused for it."""


class PayloadCheck:
    """Compares the payloads of new tasks with the schemas of their kinds.

    Args:
        schemas: What is known of them.
        fresh_seconds: For how long what is known is reason enough to refuse.
    """

    def __init__(self, schemas: PayloadSchemas, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._schemas = schemas
        self._fresh_seconds = fresh_seconds

    async def problems(self, task: ClientFields, pointer: str = "/payload") -> list[FieldProblem]:
        """Where the payload of a task does not fit the schema of its kind: 20 at most.

        While processors differ, it is taken if it fits what one of them says.

        Args:
            task: The task, or what tasks are made of.
            pointer: Where in the request its payload stands.
        """
        if self._schemas.fits(task.kind, task.payload):
            return []
        return await self._problems([(pointer, task)])

    async def certain_problems(self, task: NewTask) -> list[FieldProblem]:
        """The same, for people, who may wait until the schema is read: it is known after the first task of its kind."""
        with suppress(UnavailableError, RemoteError):
            await self._schemas.refresh(after_seconds=self._fresh_seconds)
        return await self.problems(task)

    async def problems_of_each(self, tasks: Sequence[NewTask]) -> list[FieldProblem]:
        """The same for the tasks of a batch."""
        return await self.problems_at((f"/tasks/{index}/payload", task) for index, task in enumerate(tasks))

    async def problems_at(self, tasks: Iterable[tuple[str, ClientFields]]) -> list[FieldProblem]:
        """The same for any tasks, each with where its payload stands."""
        misfits: list[tuple[str, ClientFields]] = []
        began_at = time.monotonic()
        for pointer, task in tasks:
            if not self._schemas.fits(task.kind, task.payload):
                misfits.append((pointer, task))
            if time.monotonic() - began_at > TURN_SECONDS:
                await asyncio.sleep(0)
                began_at = time.monotonic()
        return await self._problems(misfits) if misfits else []

    async def _problems(self, misfits: Sequence[tuple[str, ClientFields]]) -> list[FieldProblem]:
        """What is wrong, unless processors say something else by now, or nobody can tell."""
        try:
            await self._schemas.refresh(after_seconds=self._fresh_seconds)
        except (UnavailableError, RemoteError):
            return []
        problems: list[FieldProblem] = []
        for pointer, task in misfits:
            problems += self._schemas.problems(task.kind, task.payload, pointer)
            if len(problems) >= MAX_REFUSAL_PROBLEMS:
                break
            await asyncio.sleep(0)
        return problems[:MAX_REFUSAL_PROBLEMS]
