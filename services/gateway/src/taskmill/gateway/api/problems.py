"""Every error as an RFC 9457 problem document."""

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from taskmill.contracts.errors import FieldProblem, Problem, TaskmillError, UniqueKeyHeldError
from taskmill.gateway.api.http_errors import http_error

PROBLEM_CONTENT_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """An error (RFC 9457). Programs branch on `code`; the texts are for people, and may change."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[str, Field(description="Path of a document that explains this kind of error: `/problems/<code>`.")]
    title: Annotated[str, Field(description="What every error of this kind is called.")]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status code.")]
    detail: Annotated[str, Field(description="What went wrong this time, in a sentence. Never repeats a value.")]
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$", description="Stable name of this kind of error.")]
    errors: Annotated[list[FieldProblem], Field(description="The offending parts of the request. Up to 20.")] = []
    task_id: Annotated[
        UUID | None,
        Field(description="The task that is in the way; its path is in `Location`. Left out when none is named."),
    ] = None


_RETRY_AFTER = {"Retry-After": {"description": "When to ask again, in seconds.", "schema": {"type": "integer"}}}
_IN_THE_WAY = {
    "Location": {
        "description": "Where the task is that is in the way.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
_SCHEMA = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}


def problem_document(problem: Problem) -> ProblemDocument:
    """Complete a problem with what only HTTP knows."""
    http = http_error(problem.code)
    return ProblemDocument(
        type=f"/problems/{problem.code}",
        title=http.title,
        status=http.status,
        detail=problem.detail,
        code=problem.code,
        errors=problem.errors,
        task_id=problem.task_id,
    )


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Answer with a problem."""
    document = problem_document(problem)
    all_headers = dict(headers or {})
    if problem.retry_after_seconds is not None:
        all_headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.task_id is not None:
        all_headers["Location"] = f"/tasks/{problem.task_id}"
    return Response(
        document.model_dump_json(exclude_none=True),
        document.status,
        headers=all_headers,
        media_type=PROBLEM_CONTENT_TYPE,
    )


def problem_responses(errors: Iterable[type[TaskmillError]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI answers of an operation that may fail with these errors: one answer for each status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in sorted(errors, key=lambda error: error.code):
        http = http_error(error.code)
        answer = responses.setdefault(http.status, {"description": ""})
        answer["description"] = ", or ".join(filter(None, [answer["description"], f"{http.title} (`{error.code}`)"]))
        if error.retry_after_seconds is not None:
            answer["headers"] = _RETRY_AFTER
        if error is UniqueKeyHeldError:
            answer["headers"] = _IN_THE_WAY
        content = answer.setdefault("content", {PROBLEM_CONTENT_TYPE: {"schema": _SCHEMA, "examples": {}}})
        content[PROBLEM_CONTENT_TYPE]["examples"][error.code] = {"value": _example(error)}
    return responses


def _example(error: type[TaskmillError]) -> dict[str, Any]:
    # Some details are made of what happened; an example shows what the class always says, or else its first line.
    detail = error.__dict__.get("detail") or (error.__doc__ or "").partition("\n")[0]
    return problem_document(Problem(code=error.code, detail=detail)).model_dump(mode="json", exclude_none=True)
