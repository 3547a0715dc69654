"""docs/asyncapi.json is a document that others' tools can read, and says what the schemas say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskmill.contracts.asyncapi import asyncapi_document
from taskmill.contracts.events import EVENT_DATA, EventType
from taskmill.contracts.registry import COMMANDS, MESSAGES
from tests.contract.paths import DOCS, GOLDEN
from tests.support.node import run_node
from tests.support.paths import ROOT

CHECK = ROOT / "tests" / "node" / "check-asyncapi.mjs"

NEWER_VERSION = "asyncapi-latest-version"
"""The parser recommends AsyncAPI 3.1, which adds nothing that is used here and fewer tools can read."""


async def _read(path: Path) -> Any:
    return json.loads(await run_node(CHECK, str(path)))


async def test_the_official_parser_finds_nothing_wrong() -> None:
    """Not even something to recommend; and it finds every channel, and every event."""
    read = await _read(DOCS / "asyncapi.json")
    assert [one for one in read["diagnostics"] if one["code"] != NEWER_VERSION] == []
    assert len(read["messages"]) == len(COMMANDS) + len(MESSAGES) + 1
    assert len(read["messages"]["event"]) == len(EventType)
    assert read["messages"]["cmd_read_log"] == ["ReadLog"]


async def test_the_official_parser_would_find_what_is_wrong(tmp_path: Path) -> None:
    """A reference to nothing, for one: so that the test above says something."""
    document = asyncapi_document()
    document["operations"]["event"]["channel"] = {"$ref": "#/channels/nowhere"}
    broken = tmp_path / "asyncapi.json"
    broken.write_text(json.dumps(document))
    read = await _read(broken)
    assert "invalid-ref" in {one["code"] for one in read["diagnostics"]}
    assert read["messages"] is None


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_fits_its_message(event_type: EventType) -> None:
    """The payload that a message of the document describes takes a real event of its type, and no other type."""
    document = asyncapi_document()
    data = EVENT_DATA[event_type].__name__
    message = document["channels"]["event"]["messages"][data.removesuffix("Data")]
    schema = {**message["payload"], "components": document["components"]}
    event = json.loads((GOLDEN / "TaskEvent.json").read_text())
    event |= {"type": event_type.cloud_event_type, "data": json.loads((GOLDEN / f"{data}.json").read_text())}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(event)
    assert not validator.is_valid({**event, "type": "taskmill.task.nonsense.v1"})
    assert not validator.is_valid({**event, "data": {}})
