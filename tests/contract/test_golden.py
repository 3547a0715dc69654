"""Messages as earlier versions wrote them are still read, and mean what they meant.

The files under golden/v1 are never edited: a change that breaks one breaks the processes of the version before.
A new message gets a new file, and so does a message with new fields: `<model>.<what is new>.json`.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from taskmill.contracts.events import EVENT_DATA, EventType
from taskmill.contracts.json_text import read_json
from taskmill.contracts.registry import COMMANDS, message_models
from tests.contract.paths import GOLDEN, SCHEMAS

MODELS = message_models()
REQUESTS = {command.request.__name__ for command in COMMANDS}
FILES = sorted(GOLDEN.glob("*.json"))


def _model_name(path: Path) -> str:
    return path.name.partition(".")[0]


def _payload(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_message_has_a_golden_payload() -> None:
    """A message that nobody wrote down could change unnoticed."""
    assert {_model_name(path) for path in FILES} == MODELS.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_payload_is_read_whole(path: Path) -> None:
    """Every field is read, and written again with the same value under the same name."""
    model = MODELS[_model_name(path)]
    adapter: TypeAdapter[BaseModel] = TypeAdapter(model)
    written = read_json(adapter, path.read_bytes()).model_dump(mode="json", exclude_unset=True)
    assert written == _payload(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_payload_fits_the_published_schema(path: Path) -> None:
    """The schema that others validate with takes it too."""
    schema = _payload(SCHEMAS / f"{_model_name(path)}.json")
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(_payload(path))


@pytest.mark.parametrize(
    "path", [path for path in FILES if _model_name(path) not in REQUESTS], ids=lambda path: path.stem
)
def test_a_reader_ignores_what_a_newer_writer_added(path: Path) -> None:
    """A field of the future in a reply, an event, a report or a work item does no harm."""
    newer = {**_payload(path), "field_of_the_future": {"a": 1}}
    assert MODELS[_model_name(path)].model_validate(newer) == MODELS[_model_name(path)].model_validate(_payload(path))


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_a_request_with_an_unknown_wish_is_refused(name: str) -> None:
    """A wish that is not understood must not be passed over in silence."""
    wish = {**_payload(GOLDEN / f"{name}.json"), "field_of_the_future": 1}
    with pytest.raises(ValidationError, match="field_of_the_future"):
        MODELS[name].model_validate(wish)


def test_every_event_type_has_its_data() -> None:
    """The envelope's types and the models of `data` belong together."""
    assert EVENT_DATA.keys() == set(EventType)
    for event_type, model in EVENT_DATA.items():
        assert model.__name__ == f"Task{event_type.value.title().replace('_', '')}Data"
