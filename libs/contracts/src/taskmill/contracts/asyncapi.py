"""The AsyncAPI 3 document of everything that crosses NATS, made from the registry: docs/asyncapi.json.

It tells the task store's side: what that *receives*, others send, and the other way round.
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from taskmill.contracts import streams
from taskmill.contracts.errors import Problem
from taskmill.contracts.events import EVENT_CONTENT_TYPE, EVENT_DATA, EventData, EventType, TaskEvent
from taskmill.contracts.registry import COMMANDS, MESSAGES, Command, Message, message_models
from taskmill.contracts.subjects import PREFIX

Document = dict[str, Any]

TASK_STORE = "task-store"
REPLY_CHANNEL = "reply"

_PARAMETER = re.compile(r"<(\w+)>")
_DESCRIPTIONS = {
    "queue": "The queue that the task waits in.",
    "priority": "Its priority.",
    "kind": "The task's kind.",
    "task_id": "The task's id.",
    "processor_id": "The processor's id.",
    "type": "What happened.",
    "name": "What whoever asked for the replay has called it.",
}


def asyncapi_document() -> Document:
    """The document, as JSON values."""
    channels = {_name(command.subject): _request_channel(command) for command in COMMANDS}
    channels |= {_name(message.subject): _published_channel(message) for message in MESSAGES}
    replies: dict[str, type[BaseModel]] = {
        model.__name__: model for command in COMMANDS for model in (command.reply, Problem)
    }
    channels[REPLY_CHANNEL] = {
        "address": None,
        "description": "The reply subject of the request. An error is a Problem, with the headers `Nats-Service-Error` "
        "and `Nats-Service-Error-Code`; a body above 512 KiB may be deflated (`Content-Encoding: deflate`).",
        "messages": {name: _message(model) for name, model in sorted(replies.items())},
    }
    operations = {_name(command.subject): _answered(command) for command in COMMANDS}
    operations |= {_name(message.subject): _published(message) for message in MESSAGES}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Taskmill",
            "version": "1",
            "description": "What crosses NATS, from the task store's side: what it receives, others send.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _schemas()},
    }


def _request_channel(command: Command) -> Document:
    return {"address": command.subject, "messages": {command.request.__name__: _message(command.request)}}


def _answered(command: Command) -> Document:
    return {
        "action": "receive",
        "channel": _reference("channels", _name(command.subject)),
        "summary": _first_line(command.request),
        "bindings": {"nats": {"queue": TASK_STORE}},
        "reply": {
            "channel": _reference("channels", REPLY_CHANNEL),
            "messages": [
                _reference("channels", REPLY_CHANNEL, "messages", model.__name__) for model in (command.reply, Problem)
            ],
        },
    }


def _published_channel(message: Message) -> Document:
    channel: Document = {
        "address": _PARAMETER.sub(r"{\1}", message.subject),
        "parameters": {name: _parameter(name) for name in _PARAMETER.findall(message.subject)},
        "messages": _event_messages()
        if message.model is TaskEvent
        else {message.model.__name__: _message(message.model)},
    }
    stream = _stream(message)
    if stream is not None:
        # There is no binding for it.
        channel["x-jetstream"] = {"stream": stream.name, "retention": stream.retention.value}
    return channel


def _published(message: Message) -> Document:
    return {
        "action": "send" if message.publisher == TASK_STORE else "receive",
        "channel": _reference("channels", _name(message.subject)),
        "summary": _first_line(message.model),
    }


def _event_messages() -> Document:
    return {
        f"Task{_camel(event_type)}": {
            "name": event_type.cloud_event_type,
            "summary": _first_line(data),
            "contentType": EVENT_CONTENT_TYPE,
            "headers": _EVENT_HEADERS,
            "payload": _event_schema(event_type, data),
        }
        for event_type, data in EVENT_DATA.items()
    }


def _event_schema(event_type: EventType, data: type[EventData]) -> Document:
    particular = {
        "type": {"const": event_type.cloud_event_type},
        "data": _reference("components", "schemas", data.__name__),
    }
    return {
        "allOf": [
            _reference("components", "schemas", TaskEvent.__name__),
            {"type": "object", "properties": particular},
        ]
    }


_POSITION = {"type": "string", "pattern": "^[0-9]+$"}
_EVENT_HEADERS = {
    "type": "object",
    "required": [streams.POSITION_HEADER, streams.PREVIOUS_POSITION_HEADER],
    "properties": {
        streams.POSITION_HEADER: {**_POSITION, "description": "The event's position in the log."},
        streams.PREVIOUS_POSITION_HEADER: {
            **_POSITION,
            "description": "The position of the event before it in the log; 0: it is the first.",
        },
    },
}


def _schemas() -> Document:
    models = message_models().values()
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    definitions: Document = _plain(schemas["$defs"])
    return dict(sorted(definitions.items()))


def _plain(schema: Any) -> Any:
    """A schema as AsyncAPI has it: there a discriminator is the name of a property."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    if isinstance(schema.get("discriminator"), dict) and "propertyName" in schema["discriminator"]:
        plain["discriminator"] = schema["discriminator"]["propertyName"]
    return plain


def _message(model: type[BaseModel]) -> Document:
    return {
        "name": model.__name__,
        "summary": _first_line(model),
        "payload": _reference("components", "schemas", model.__name__),
    }


def _parameter(name: str) -> Document:
    parameter: Document = {"description": _DESCRIPTIONS[name]}
    if name == "type":
        parameter["enum"] = [event_type.value for event_type in EventType]
    return parameter


def _stream(message: Message) -> streams.StreamSpec | None:
    specs = (streams.work_stream(), streams.reports_stream(0), streams.events_stream(0, 0))
    return next((spec for spec in specs if message.subject.startswith(spec.subjects[0].removesuffix(">"))), None)


def _name(subject: str) -> str:
    """`cmd_create`, `work` or `event`: what of a subject stands between the prefix and what varies."""
    return subject.removeprefix(f"{PREFIX}.").partition(".<")[0].replace(".", "_")


def _camel(event_type: EventType) -> str:
    return event_type.value.title().replace("_", "")


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _reference(*path: str) -> Document:
    return {"$ref": "#/" + "/".join(path)}
