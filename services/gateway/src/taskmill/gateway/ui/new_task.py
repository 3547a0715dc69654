"""The form in which a task is made: with a field for each part of its payload, if its kind says what those are."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import JsonValue, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.errors import FieldProblem, InvalidRequestError, TaskmillError
from taskmill.contracts.json_text import read_json
from taskmill.contracts.kinds import KindPage, KnownKind, ListKinds
from taskmill.contracts.limits import MAX_JSON_DEPTH, MAX_PAGE_ITEMS
from taskmill.contracts.requests import GetTask, NewTask
from taskmill.contracts.tasks import Task
from taskmill.gateway.adapters.store import request_json
from taskmill.gateway.ui.forms import Form, read_form
from taskmill.gateway.ui.json_fields import (
    PAYLOAD_PREFIX,
    check_texts,
    invalid,
    labels_of,
    parse_json,
    payload_pointer,
    typed_labels,
)
from taskmill.gateway.ui.pages import Parts, page, see
from taskmill.gateway.ui.rendering import pretty
from taskmill.gateway.ui.route import PREFIX

_NEW_TASK: TypeAdapter[NewTask] = TypeAdapter(NewTask)
_SIMPLE = frozenset({"string", "integer", "number", "boolean"})
_PLAIN = (
    *("title", "description", "kind", "queue", "concurrency_key"),
    *("priority", "run_at", "max_attempts", "timeout_seconds"),
)
_NEVER_EMPTY = ("title", "kind")
"""What is wrong if it is there and says nothing; the others are left out then."""
_UNDER_MORE = frozenset({*_PLAIN, "labels"} - {"title", "kind"})
"""What is out of sight until somebody wants more."""


class Field(NamedTuple):
    """A part of a payload, as the form asks for it.

    Attributes:
        name: The property.
        type: `string`, `integer`, `number`, `boolean`, or `json` for all else.
        choices: What it may be; none: anything of its type.
        description: What it is, for people.
        is_required: Whether it must be there.
        default: What holds when it is left out, as JSON; empty: nothing is said.
    """

    name: str
    type: str
    choices: tuple[str, ...]
    description: str
    is_required: bool
    default: str


class NewTaskPages:
    """Where people make tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/tasks/new", Scope.TASKS_WRITE)
    async def form(self, request: Request) -> Response:
        """Show the form: empty, for a kind, or filled in as another task was."""
        typed = dict(request.query_params)
        source = typed.pop("from", None)
        if source is not None:
            typed = self._like(await self._task(source))
        return await self._show(request, typed, {}, is_raw=source is not None or typed.get("mode") == "json")

    @page("POST", "/tasks/new", Scope.TASKS_WRITE)
    async def create(self, request: Request) -> Response:
        """Make the task, or show beside each field what is wrong with it."""
        form = await read_form(request)
        is_raw = form.one("mode") == "json"
        kind = await self._kind(form.one("kind"))
        try:
            check_texts(form)
            task = _task_of(form, () if is_raw or kind is None else fields_of(kind.payload_schema))
            problems = await self._parts.payloads.certain_problems(task)
            if problems:
                raise InvalidRequestError(errors=problems)
            task_id = self._parts.new_id()
            body = b'{"id":"%b",%b' % (str(task_id).encode(), request_json(task)[1:])
            await self._parts.store.ask(registry.CREATE, body)
        except TaskmillError as error:
            return await self._show(request, _typed(form), _errors(error), is_raw=is_raw)
        return see(f"{PREFIX}/tasks/{task_id}", request)

    async def _show(
        self, request: Request, typed: Mapping[str, str], errors: Mapping[str, str], *, is_raw: bool
    ) -> Response:
        kinds = await self._kinds()
        kind = next((known for known in kinds if known.kind == typed.get("kind")), None)
        fields = fields_of(kind.payload_schema) if kind is not None and not is_raw else ()
        known = {"", *_PLAIN, "labels", *(f"{PAYLOAD_PREFIX}{field.name}" for field in fields)}
        if not fields:
            known.add("payload")
        return self._parts.render(
            request,
            "new_task.html",
            status=422 if errors else 200,
            kinds=[known_kind.kind for known_kind in kinds],
            kind=kind,
            fields=fields,
            schema=None if kind is None or kind.payload_schema is None else pretty(kind.payload_schema),
            typed=typed,
            is_more_open=any(typed.get(name) for name in _UNDER_MORE - {"priority"})
            or bool(_UNDER_MORE & errors.keys()),
            # What belongs to no field stands above all.
            errors={name: detail for name, detail in errors.items() if name in known},
            others=[f"{name}: {detail}" for name, detail in errors.items() if name not in known],
            is_raw=is_raw,
        )

    async def _kinds(self) -> list[KnownKind]:
        try:
            reply = await self._parts.store.ask(registry.LIST_KINDS, ListKinds(limit=MAX_PAGE_ITEMS))
        except TaskmillError:
            return []
        return KindPage.model_validate_json(reply.body).items

    async def _kind(self, name: str) -> KnownKind | None:
        return next((kind for kind in await self._kinds() if kind.kind == name), None)

    async def _task(self, task_id: str) -> Task:
        try:
            wanted = GetTask(id=UUID(task_id))
        except ValueError as error:
            raise InvalidRequestError from error
        return Task.model_validate_json((await self._parts.store.ask(registry.GET, wanted)).body)

    def _like(self, task: Task) -> dict[str, str]:
        fields = {name: getattr(task, name) for name in _PLAIN if name != "run_at"}
        typed = {name: str(value) for name, value in fields.items() if value is not None}
        typed["labels"] = typed_labels(task.labels)
        if self._parts.shows_payloads:
            typed["payload"] = pretty(task.payload)
        return typed


def fields_of(schema: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """The parts of payloads that a schema names; none: they are not an object, or it names none."""
    if schema is None or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        return ()
    required = schema.get("required", ())
    return tuple(
        _field(name, part if isinstance(part, dict) else {}, is_required=name in required)
        for name, part in schema["properties"].items()
    )


def _field(name: str, part: Mapping[str, Any], *, is_required: bool) -> Field:
    choices = tuple(choice for choice in part.get("enum", ()) if isinstance(choice, str))
    kind = part.get("type")
    simple = kind if isinstance(kind, str) and kind in _SIMPLE else "json"
    default = orjson.dumps(part["default"]).decode() if "default" in part else ""
    description = part.get("description")
    return Field(
        name,
        "string" if choices else simple,
        choices,
        description if isinstance(description, str) else "",
        is_required,
        default,
    )


def _task_of(form: Form, fields: tuple[Field, ...]) -> NewTask:
    """What a form asks for.

    Raises:
        InvalidRequestError: It does not fit.
    """
    document: dict[str, Any] = {
        name: form.one(name) for name in _PLAIN if form.one(name) or (name in _NEVER_EMPTY and form.has(name))
    }
    for name in ("max_attempts", "timeout_seconds"):
        if name in document:
            document[name] = parse_json(document[name], f"/{name}")
    if form.text("description"):
        document["description"] = form.text("description")
    document["labels"] = labels_of(form.text("labels"))
    document["payload"] = _payload(form, fields) if fields else parse_json(form.text("payload"), "/payload")
    document["process"] = form.has("process")
    return read_json(_NEW_TASK, orjson.dumps(document))


def _payload(form: Form, fields: tuple[Field, ...]) -> dict[str, JsonValue]:
    payload: dict[str, JsonValue] = {}
    for field in fields:
        name = PAYLOAD_PREFIX + field.name
        text = form.text(name)
        if field.type == "boolean":
            if text:
                payload[field.name] = _true_or_false(text, field)
        elif field.type == "string":
            # An empty text is one that was left out, unless it must be there.
            if text or field.is_required:
                payload[field.name] = text
        elif text.strip():
            payload[field.name] = _number_or_json(text, field)
    return payload


def _true_or_false(text: str, field: Field) -> bool:
    if text not in {"true", "false"}:
        raise invalid(payload_pointer(field.name), "Input should be true or false", "bool_parsing")
    return text == "true"


def _number_or_json(text: str, field: Field) -> JsonValue:
    pointer = payload_pointer(field.name)
    # The payload itself is one level.
    value = parse_json(text, pointer, max_depth=MAX_JSON_DEPTH - 1)
    if field.type != "json" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise invalid(pointer, "Input should be a number", "number")
    return value


def _typed(form: Form) -> dict[str, str]:
    return {name: form.text(name) for name in form.names()}


def _errors(error: TaskmillError) -> dict[str, str]:
    problem = error.problem()
    if not problem.errors:
        return {"": problem.detail}
    return {_name_of(wrong): wrong.detail for wrong in problem.errors}


def _name_of(problem: FieldProblem) -> str:
    parts = problem.pointer.removeprefix("/").split("/")
    if parts[0] == "payload" and len(parts) > 1:
        return PAYLOAD_PREFIX + parts[1].replace("~1", "/").replace("~0", "~")
    return parts[0]
