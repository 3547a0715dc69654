"""Which tasks are let through one after another, and by which limits: what all stores know of turns.

The store that leads alone gives turns; see `turn_order`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.tasks import WaitingFor, WaitReason
from taskmill.contracts.turns import EACH_KEY
from taskmill.task_store.domain.state import TaskState

SLICES_OF_A_PERIOD = 64
"""Turns are remembered by slices of a rate's period: room comes back up to one slice late, never early."""


class LimitState(NamedTuple):
    """A limit's row: these fields, in this order, are the columns of `limits`."""

    name: str
    kind: str | None
    concurrency_key: str | None
    """`EACH_KEY`: each key by itself, unless another limit of the same kind names it."""
    max_in_progress: int | None
    rate_tasks: int | None
    rate_seconds: float | None
    created_at: datetime
    updated_at: datetime

    def room_at(self, starts: Iterable[tuple[datetime, int]], now: datetime) -> datetime | None:
        """When its rate has room for one more turn; None: it has now.

        Args:
            starts: When turns were given that it counts together, and how many, newest first.
            now: What time it is.
        """
        assert self.rate_seconds is not None and self.rate_tasks is not None  # noqa: S101, PT018 -- for the type checker
        given = 0
        for last_at, tasks in starts:
            given += tasks
            ends_at = last_at + timedelta(seconds=self.rate_seconds)
            if ends_at <= now:
                return None
            if given >= self.rate_tasks:
                return ends_at
        return None


class ShareState(NamedTuple):
    """A share's row: these fields, in this order, are the columns of `shares`."""

    concurrency_key: str
    weight: float
    created_at: datetime
    updated_at: datetime


class Bucket(NamedTuple):
    """What a limit counts together: all tasks that it holds for, or those of one key."""

    limit: LimitState
    key: str
    """Of a limit that holds for each key; else empty."""


class Turn(NamedTuple):
    """A task whose turn it is."""

    task_id: UUID
    version: int
    """That of the task when it was chosen: if it has changed since, it is chosen anew."""
    rated: tuple[Bucket, ...]
    """Those of its buckets that have a rate."""


class TurnStart(NamedTuple):
    """Turns of a bucket in a slice of its rate's period: these fields, in this order, are columns of `turn_starts`."""

    limit_name: str
    concurrency_key: str
    slice: int
    last_at: datetime
    tasks: int


class LimitRules:
    """The limits, by what they hold for.

    Args:
        limits: All that there are.
    """

    def __init__(self, limits: Iterable[LimitState] = ()) -> None:
        self.limits = tuple(limits)
        together = [limit for limit in self.limits if limit.concurrency_key is None]
        self._limits_all = any(limit.kind is None for limit in together)
        self._kinds = frozenset(limit.kind for limit in together)
        self._named = frozenset((limit.kind, limit.concurrency_key) for limit in self.limits)

    @property
    def limited_kinds(self) -> list[str] | None:
        """The kinds whose tasks take turns whatever their key; None: all do."""
        return None if self._limits_all else [kind for kind in self._kinds if kind is not None]

    def takes_turn(self, state: TaskState) -> bool:
        """Whether a task must wait for its turn before it is queued: one with a key, or that a limit holds for."""
        return state.concurrency_key is not None or self._limits_all or state.kind in self._kinds

    def buckets(self, kind: str, key: str | None) -> tuple[Bucket, ...]:
        """Where a task is counted."""
        return tuple(
            Bucket(limit, (key or "") if limit.concurrency_key == EACH_KEY else "")
            for limit in self.limits
            if limit.kind in {None, kind} and self._holds_for(limit, key)
        )

    def _holds_for(self, limit: LimitState, key: str | None) -> bool:
        if limit.concurrency_key is None:
            return True
        if key is None:
            return False
        if limit.concurrency_key != EACH_KEY:
            return limit.concurrency_key == key
        return key == EACH_KEY or (limit.kind, key) not in self._named


NO_LIMITS = LimitRules()


def slice_of(limit: LimitState, at: datetime) -> int:
    """In which slice of its rate's period a turn falls."""
    assert limit.rate_seconds is not None  # noqa: S101 -- for the type checker
    return int(at.timestamp() * SLICES_OF_A_PERIOD / limit.rate_seconds)


class TurnBook:
    """The turns that a batch gives.

    Args:
        rules: The limits, as this store knows them.
        term: The term in which turns may be given, read under the lock; None: not known, the writing will tell.
    """

    def __init__(self, rules: LimitRules = NO_LIMITS, term: int | None = None) -> None:
        self.rules = rules
        self._term = term
        self.given_in: int | None = None
        """The term in which turns are given; None: none is. It must still be that when they are written."""
        self._starts: dict[tuple[str, str, int], TurnStart] = {}

    def opens(self, term: int) -> bool:
        """Whether turns of a term may be given: one store leads in each, and none in one that is over."""
        if self._term not in {None, term} or self.given_in not in {None, term}:
            return False
        self.given_in = term
        return True

    def note(self, turn: Turn, now: datetime) -> None:
        """Count a turn that is given."""
        for limit, key in turn.rated:
            place = limit.name, key, slice_of(limit, now)
            before = self._starts.get(place)
            self._starts[place] = TurnStart(*place, now, 1 if before is None else before.tasks + 1)

    @property
    def starts(self) -> list[TurnStart]:
        """What is to be added to the turns of rates."""
        return list(self._starts.values())


def limit_document(limit: LimitState) -> bytes:
    """A `Limit`."""
    document = limit._asdict()
    seconds, tasks = document.pop("rate_seconds"), document.pop("rate_tasks")
    document["rate"] = None if tasks is None else {"tasks": tasks, "seconds": seconds}
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)


def share_document(share: ShareState) -> bytes:
    """A `Share`."""
    return orjson.dumps(share._asdict(), option=orjson.OPT_UTC_Z)


class BucketLoad(NamedTuple):
    """How much of a bucket is used."""

    active: int
    """Its tasks that are queued or in progress."""
    room_at: datetime | None
    """When its rate has room; None: it has now, or there is no rate."""


def held_by(buckets: Sequence[Bucket], loads: Mapping[tuple[str, str], BucketLoad]) -> WaitingFor | None:
    """What a task waits for that is counted in some buckets: the first that has no room; None: all have."""
    for limit, key in buckets:
        load = loads[limit.name, key]
        if limit.max_in_progress is not None and load.active >= limit.max_in_progress:
            return WaitingFor(reason=WaitReason.LIMIT, limit=limit.name)
        if load.room_at is not None:
            return WaitingFor(reason=WaitReason.RATE, until=load.room_at, limit=limit.name)
    return None
