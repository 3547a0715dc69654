"""Conditions that an event must meet, as clients write them where they choose events."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from taskmill.contracts.events import EventType
from taskmill.contracts.limits import MAX_LABEL_CONDITIONS
from taskmill.contracts.patterns import LABEL_CONDITION_PATTERN
from taskmill.contracts.requests import Request
from taskmill.contracts.tasks import Kind, Queue

LabelCondition = Annotated[
    str,
    StringConstraints(pattern=LABEL_CONDITION_PATTERN),
]


def _one_condition_a_key(conditions: list[str]) -> list[str]:
    keys = [condition.partition(":")[0] for condition in conditions]
    if len(set(keys)) < len(keys):
        raise PydanticCustomError("repeated_label", "A label's key should be given once")
    return conditions


LABEL_CONDITIONS = (
    Field(max_length=MAX_LABEL_CONDITIONS, examples=[["team:web"]]),
    AfterValidator(_one_condition_a_key),
)
"""What holds for a list of `LabelCondition`s."""


def wanted_labels(conditions: Sequence[str]) -> dict[str, str | None]:
    """The value that each label must have, by its key; None: any."""
    pairs = (condition.partition(":") for condition in conditions)
    return {key: value if separator else None for key, separator, value in pairs}


EventTypes = Annotated[
    list[EventType],
    Field(max_length=len(EventType), description="Events of these types; empty: of all.", examples=[["completed"]]),
]
LabelConditions = Annotated[
    list[LabelCondition],
    *LABEL_CONDITIONS,
    Field(description="Only of tasks that have all these labels: `key:value`, or `key` for any value. Up to 8."),
]


class EventConditions(Request):
    """Which events are meant: those that meet every condition that is given."""

    types: EventTypes = []
    kind: Annotated[Kind | None, Field(description="Only of tasks of this kind.")] = None
    queue: Annotated[Queue | None, Field(description="Only of tasks of this queue.")] = None
    labels: LabelConditions = []
