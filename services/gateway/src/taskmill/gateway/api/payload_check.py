"""Refuses tasks whose payload cannot fit."""

import asyncio
import time
from collections.abc import Sequence

from taskmill.contracts.errors import FieldProblem, InvalidRequestError, RemoteError, UnavailableError
from taskmill.contracts.requests import NewTask
from taskmill.gateway.adapters.payload_schemas import MAX_PROBLEMS, PayloadSchemas

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

    async def check(self, task: NewTask) -> None:
        """Refuse a task whose payload does not fit the schema of its kind.

        While processors differ, it is taken if it fits what one of them says.

        Raises:
            InvalidRequestError: It does not; `errors` points to what is wrong.
        """
        if not self._schemas.fits(task.kind, task.payload):
            await self._refuse([("/payload", task)])

    async def check_each(self, tasks: Sequence[NewTask]) -> None:
        """The same for the tasks of a batch."""
        misfits: list[tuple[str, NewTask]] = []
        began_at = time.monotonic()
        for index, task in enumerate(tasks):
            if not self._schemas.fits(task.kind, task.payload):
                misfits.append((f"/tasks/{index}/payload", task))
            if time.monotonic() - began_at > TURN_SECONDS:
                await asyncio.sleep(0)
                began_at = time.monotonic()
        if misfits:
            await self._refuse(misfits)

    async def _refuse(self, misfits: Sequence[tuple[str, NewTask]]) -> None:
        """Refuse tasks, unless processors say something else by now, or nobody can tell."""
        try:
            await self._schemas.refresh(after_seconds=self._fresh_seconds)
        except (UnavailableError, RemoteError):
            return
        problems: list[FieldProblem] = []
        for pointer, task in misfits:
            problems += self._schemas.problems(task.kind, task.payload, pointer)
            if len(problems) >= MAX_PROBLEMS:
                break
            await asyncio.sleep(0)
        if problems:
            raise InvalidRequestError(errors=problems[:MAX_PROBLEMS])
