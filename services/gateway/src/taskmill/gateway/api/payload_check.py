"""Finds tasks whose payload cannot fit."""

from collections.abc import Sequence

from taskmill.contracts.errors import FieldProblem, RemoteError, UnavailableError
from taskmill.contracts.limits import MAX_REFUSAL_PROBLEMS
from taskmill.contracts.requests import NewTask
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas

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

    async def problems(self, task: NewTask) -> list[FieldProblem]:
        """Where the payload of a task does not fit the schema that all processors of its kind agree on: 20 at most."""
        if self._schemas.fits(task.kind, task.payload):
            return []
        return await self._problems([("/payload", task)])

    async def problems_of_each(self, tasks: Sequence[NewTask]) -> list[FieldProblem]:
        """The same for the tasks of a batch."""
        misfits = [
            (f"/tasks/{index}/payload", task)
            for index, task in enumerate(tasks)
            if not self._schemas.fits(task.kind, task.payload)
        ]
        return await self._problems(misfits) if misfits else []

    async def _problems(self, misfits: Sequence[tuple[str, NewTask]]) -> list[FieldProblem]:
        """What is wrong, unless processors say something else by now, or nobody can tell."""
        try:
            await self._schemas.refresh(after_seconds=self._fresh_seconds)
        except (UnavailableError, RemoteError):
            return []
        problems = [
            problem for pointer, task in misfits for problem in self._schemas.problems(task.kind, task.payload, pointer)
        ]
        return problems[:MAX_REFUSAL_PROBLEMS]
