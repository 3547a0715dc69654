"""Turns: which limits hold for tasks that are to be processed, and how the keys of a queue share it."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from taskmill.contracts.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_LIMITED_TASKS,
    MAX_RATE_SECONDS,
    MAX_SHARE_WEIGHT,
    MIN_RATE_SECONDS,
    MIN_SHARE_WEIGHT,
)
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN, NAME_PATTERN
from taskmill.contracts.requests import Cursor, PageLimit, Request
from taskmill.contracts.tasks import Instant, Kind, NextCursor, WireModel

EACH_KEY = "*"
"""In place of a concurrency key: the limit holds for each key that no other limit of the same kind names."""

LimitName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="Names the limit: 1 to 64 of a-z, 0-9, `-` and `_`.", examples=["mails"]),
]
ChosenKey = Annotated[
    str,
    StringConstraints(pattern=CHOSEN_KEY_PATTERN),
    Field(description="A concurrency key.", examples=["tenant-17"]),
]


class Rate(WireModel):
    """So many tasks in so much time."""

    tasks: Annotated[int, Field(ge=1, le=MAX_LIMITED_TASKS, description="Tasks that get their turn at most …")]
    seconds: Annotated[
        float,
        Field(
            ge=MIN_RATE_SECONDS,
            le=MAX_RATE_SECONDS,
            allow_inf_nan=False,
            description="… in any span of so many seconds. 0.1 to 86,400.",
        ),
    ]


class NewLimit(Request):
    """What a limit holds for, and what it lets through."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["max_in_progress"], "properties": {"max_in_progress": {"type": "integer"}}},
                {"required": ["rate"], "properties": {"rate": {"type": "object"}}},
            ]
        }
    )

    kind: Annotated[Kind | None, Field(description="It holds for tasks of this kind; null: of any.")] = None
    concurrency_key: Annotated[
        ChosenKey | None,
        Field(
            description="It holds for the tasks of this key; `*`: for those of each key by themselves, but for keys "
            "that another limit of the same kind names; null: for all tasks together, with a key or without."
        ),
    ] = None
    max_in_progress: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_LIMITED_TASKS,
            description="So many of them are queued or in progress at once, at most; 0: none; null: any number.",
        ),
    ] = None
    rate: Annotated[Rate | None, Field(description="So many of them get their turn in some time; null: any.")] = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.max_in_progress is None and self.rate is None:
            raise PydanticCustomError("limits_nothing", "One of `max_in_progress` and `rate` should be given")
        return self


class PutLimit(NewLimit):
    """Make a limit, or have it say something else. Replied to with `Limit`."""

    name: LimitName


class GetLimit(Request):
    """Read a limit. Replied to with `Limit`."""

    name: LimitName


class ListLimits(Request):
    """Read a page of the limits. Replied to with `LimitPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class DeleteLimit(Request):
    """Delete a limit. Replied to with `Deleted`."""

    name: LimitName


class Limit(WireModel):
    """A limit: how many tasks may be processed at once, or in some time."""

    name: LimitName
    kind: Annotated[Kind | None, Field(description="Of tasks of this kind; null: of any.")] = None
    concurrency_key: Annotated[
        str | None, Field(description="Of this key; `*`: of each key by itself; null: of all together.")
    ] = None
    max_in_progress: Annotated[
        int | None, Field(description="So many are queued or in progress at once, at most; null: any number.")
    ] = None
    rate: Annotated[Rate | None, Field(description="So many get their turn in some time; null: any number.")] = None
    created_at: Instant
    updated_at: Instant


class LimitPage(WireModel):
    """A page of the limits, by name."""

    items: Annotated[list[Limit], Field(description="The limits. Up to 200.")]
    next_cursor: NextCursor = None


class NewShare(Request):
    """How much of its queues a key gets."""

    weight: Annotated[
        float,
        Field(
            ge=MIN_SHARE_WEIGHT,
            le=MAX_SHARE_WEIGHT,
            allow_inf_nan=False,
            description="A key of weight 2 gets twice as many turns as one of weight 1, which is what a key has that "
            "no share names. 0.001 to 1,000.",
        ),
    ]


class PutShare(NewShare):
    """Give a key a share, or another one. Replied to with `Share`."""

    concurrency_key: ChosenKey


class GetShare(Request):
    """Read the share of a key. Replied to with `Share`."""

    concurrency_key: ChosenKey


class ListShares(Request):
    """Read a page of the shares. Replied to with `SharePage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class DeleteShare(Request):
    """Have a key share as keys do that no share names. Replied to with `Deleted`."""

    concurrency_key: ChosenKey


class Share(WireModel):
    """How much of its queues a key gets."""

    concurrency_key: ChosenKey
    weight: Annotated[float, Field(description="Its turns, compared with those of a key of weight 1.")]
    created_at: Instant
    updated_at: Instant


class SharePage(WireModel):
    """A page of the shares, by key."""

    items: Annotated[list[Share], Field(description="The shares. Up to 200.")]
    next_cursor: NextCursor = None


class Deleted(WireModel):
    """It is gone."""

    name: Annotated[str, Field(description="What it was called.")]
