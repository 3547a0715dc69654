"""Declares the route that leads to an endpoint, beside it; and what the declarations of several have in common."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Path

from taskmill.contracts.errors import (
    BusUnavailableError,
    DatabaseUnavailableError,
    OverloadedError,
    StoreUnavailableError,
    TaskmillError,
    TaskNotFoundError,
)
from taskmill.gateway.api.strict_route import Endpoint, StrictRoute

TASK = "/tasks/{task_id:uuid}"
"""The path of a task."""

TaskId = Annotated[UUID, Path(description="The task's id, a UUID.")]

UNAVAILABLE: list[type[TaskmillError]] = [
    BusUnavailableError,
    DatabaseUnavailableError,
    OverloadedError,
    StoreUnavailableError,
]
"""What everything may fail with that asks the task store."""

ON_A_TASK = [*UNAVAILABLE, TaskNotFoundError]

REPLAYED = {
    "Idempotent-Replayed": {
        "description": "There, and `true`, when this is the answer to an earlier request under the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def location(description: str) -> dict[str, Any]:
    """The header `Location`, for OpenAPI."""
    return {"Location": {"description": description, "schema": {"type": "string", "format": "uri-reference"}}}


class _Declaration(NamedTuple):
    method: str
    path: str
    options: dict[str, Any]


_Declared = TypeVar("_Declared", bound=Endpoint)


def route(method: str, path: str, **options: Any) -> Callable[[_Declared], _Declared]:
    """Declare the route that leads to a method of a class of endpoints.

    Args:
        method: The HTTP method.
        path: As `StrictRoute` takes it.
        options: What else `StrictRoute` takes.
    """

    def declare(endpoint: _Declared) -> _Declared:
        vars(endpoint)["declaration"] = _Declaration(method, path, options)
        return endpoint

    return declare


def declared_routes(endpoints: object) -> list[StrictRoute]:
    """The routes that a class of endpoints declares, in the order in which its methods stand."""
    return [
        StrictRoute(declaration.path, getattr(endpoints, name), methods=[declaration.method], **declaration.options)
        for name, member in vars(type(endpoints)).items()
        if isinstance(declaration := getattr(member, "declaration", None), _Declaration)
    ]
