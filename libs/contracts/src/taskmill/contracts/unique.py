"""Unique keys: what a new task is about, and what happens while another task holds the same key."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from taskmill.contracts.limits import MAX_DEBOUNCE_SECONDS, MAX_KEY_HELD_SECONDS
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN


class OnConflict(StrEnum):
    """What becomes of a new task whose unique key another one holds."""

    REJECT = "reject"
    """It is refused, and the caller is told the other one."""
    RETURN_EXISTING = "return_existing"
    """The other one stands for it."""
    REPLACE_WAITING = "replace_waiting"
    """The other one is cancelled if it waits; if it is in progress, the new one is refused."""
    DEBOUNCE = "debounce"
    """The other one, which waits for its time, becomes what the new one would be, and waits anew."""


class Uniqueness(BaseModel):
    """Under which key a task is unique. It holds the key until its run has ended, but no longer than it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[
        str,
        StringConstraints(pattern=CHOSEN_KEY_PATTERN),
        Field(
            description="What the task is about: no two tasks hold the same key at a time, whatever their kinds and "
            "queues. 1 to 200 visible ASCII characters but `/`.",
            examples=["invoice-4711"],
        ),
    ]
    on_conflict: Annotated[
        OnConflict,
        Field(
            description="While another task holds the key: `reject` refuses the new one and names the other. "
            "`return_existing` answers with the other. `replace_waiting` cancels the other if it is pending, scheduled "
            "or queued, and refuses the new one if it is in progress. `debounce` has each new one put its work off: "
            "one task waits, with what was asked last, until nothing was asked for `debounce_seconds`."
        ),
    ] = OnConflict.REJECT
    debounce_seconds: Annotated[
        Annotated[float, Field(gt=0, le=MAX_DEBOUNCE_SECONDS)] | None,
        Field(description="With `debounce`, and needed there: how long the task waits after what was asked last."),
    ] = None
    debounce_max_seconds: Annotated[
        Annotated[float, Field(gt=0, le=MAX_DEBOUNCE_SECONDS)] | None,
        Field(description="With `debounce`: how long after its creation it is put off at most; null: for ever."),
    ] = None
    held_for_seconds: Annotated[
        Annotated[float, Field(gt=0, le=MAX_KEY_HELD_SECONDS)] | None,
        Field(
            description="How long the key is held at most, from the creation on, even if the task has not ended; "
            "null: until its end. Not with `debounce`, where the key is held until the task is queued."
        ),
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        is_debounced = self.on_conflict is OnConflict.DEBOUNCE
        if is_debounced and self.debounce_seconds is None:
            raise PydanticCustomError("debounce_seconds_missing", "`debounce` needs `debounce_seconds`")
        if not is_debounced and (self.debounce_seconds, self.debounce_max_seconds) != (None, None):
            raise PydanticCustomError("not_debounced", "`debounce_…` goes with `debounce` only")
        if is_debounced and self.held_for_seconds is not None:
            raise PydanticCustomError("held_until_queued", "`held_for_seconds` does not go with `debounce`")
        return self


def without_run_at(unique: Uniqueness | None, info: ValidationInfo) -> Uniqueness | None:
    """Check a field that follows `run_at`: when a debounced task begins follows from when it was asked for last."""
    if unique is not None and unique.debounce_seconds is not None and info.data.get("run_at") is not None:
        raise PydanticCustomError("run_at_debounced", "`run_at` does not go with `debounce`")
    return unique


def not_debounced(after: list[UUID] | None, info: ValidationInfo) -> list[UUID] | None:
    """Check a field that follows `unique`: a debounced task waits for its time, and so for nothing else."""
    unique = info.data.get("unique")
    if after and isinstance(unique, Uniqueness) and unique.debounce_seconds is not None:
        raise PydanticCustomError("after_debounced", "`after` does not go with `debounce`")
    return after
