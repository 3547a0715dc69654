"""Whatever the registry offers is served."""

import contextlib
import json
from typing import Any, cast

import pytest

from taskmill.contracts.errors import RequestError
from taskmill.contracts.registry import COMMANDS, Command
from taskmill.contracts.requests import IdempotencyKey, KeyedRequest, TaskRequest
from taskmill.task_store.actors.commands import use_case
from taskmill.task_store.domain.editing import decide_change
from taskmill.task_store.domain.idempotency import key_name
from taskmill.task_store.domain.operations import named_tasks, wants_documents
from taskmill.task_store.use_cases import Ports
from tests.contract.paths import GOLDEN
from tests.support.task_states import NOW, TASK_ID, pending_task

DECIDED_BY_THE_BATCH = {"process", "delete"}
"""They need to know of more than the task."""


def golden(command: Command) -> Any:
    """A request of a command."""
    payload = json.loads((GOLDEN / f"{command.request.__name__}.json").read_text(encoding="utf-8"))
    return command.request.model_validate_json(json.dumps(payload))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.verb)
def test_every_command_has_a_use_case(command: Command) -> None:
    """One that nobody answers would end the start."""
    assert callable(use_case(command, cast("Ports", None)))


@pytest.mark.parametrize(
    "command",
    [one for one in COMMANDS if issubclass(one.request, TaskRequest) and one.verb not in DECIDED_BY_THE_BATCH],
    ids=lambda command: command.verb,
)
def test_every_change_of_a_task_has_a_rule_and_is_told_whole(command: Command) -> None:
    """A request without a rule would be a fault, and one without the documents would be told a task without payload."""
    request = golden(command)
    assert named_tasks(request) == [request.id]
    assert wants_documents(request)
    with contextlib.suppress(RequestError):
        assert decide_change(pending_task(), request, NOW).state.id == TASK_ID


def test_keys_are_named_as_they_are_stored() -> None:
    """A key of the release before is known again."""
    key = IdempotencyKey(key="k", fingerprint="0" * 64)
    requests = [golden(one) for one in COMMANDS if issubclass(one.request, KeyedRequest)]
    scopes = {key_name(request, key).scope.replace(str(getattr(request, "id", None)), "<id>") for request in requests}
    assert scopes >= {"create", "create-many", "process:<id>", "cancel:<id>", "start-bulk"}
