"""The duty that gives turns, when the relay begins anew in the middle of its work."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import pytest

from taskmill.contracts.status import Priority
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.turns import Turns
from taskmill.task_store.adapters.turn_log import TurnLog, TurnSettings, TurnsKnown
from taskmill.task_store.domain.operations import Answer, GiveTurns
from taskmill.task_store.domain.turn_order import Lane
from taskmill.task_store.domain.turns import NO_LIMITS
from taskmill.task_store.ports import Writes
from tests.support.leases import LeaseOf
from tests.support.task_states import NOW, TASK_ID, queued_task

LANE = Lane("default", Priority.MEDIUM, "echo", "tenant-17")


class OneWaits:
    """What there is to read, where one task waits; and where turns are given. `during` says what happens meanwhile."""

    def __init__(self) -> None:
        self.during: dict[str, Callable[[], None]] = {}
        self.terms = 0
        self.given: list[UUID] = []

    def _happens(self, name: str) -> None:
        self.during.pop(name, lambda: None)()

    async def begin_term(self, _owner: str) -> TurnsKnown:
        """See `TurnLog`."""
        self.terms += 1
        self._happens("begin_term")
        return TurnsKnown(self.terms, NO_LIMITS, [], [] if self.given else [LANE])

    async def settings(self, _now: datetime) -> TurnSettings:
        """See `TurnLog`."""
        self._happens("settings")
        return TurnSettings(NO_LIMITS, {}, {"default": 1})

    async def first(self, wanted: Mapping[Lane, int]) -> list[tuple[Lane, list[tuple[UUID, int]]]]:
        """See `TurnLog`."""
        self._happens("first")
        return [(lane, [(TASK_ID, 2)]) for lane in wanted]

    async def ask(self, operation: GiveTurns) -> Answer:
        """See `Writes`."""
        assert operation.term == self.terms
        self._happens("ask")
        self.given += operation.task_ids
        return Answer((queued_task(id=TASK_ID),))


@pytest.mark.parametrize("moment", ["begin_term", "settings", "first", "ask"])
async def test_the_relay_may_begin_anew_at_any_moment(moment: str) -> None:
    """What is in hand is finished, and then all is read once more: nobody knows what was not heard."""
    there = OneWaits()
    leadership = Leadership("leadership", LeaseOf("me"), "me", ttl_seconds=1)
    log, writes = cast("TurnLog", there), cast("Writes", cast("Any", there))
    turns = Turns(log, writes, leadership, owner="me", now=lambda: NOW)
    turns.begin()
    there.during[moment] = turns.begin
    for _ in range(3):
        await turns.work()
    assert not there.during
    assert (there.terms, there.given) == (2, [TASK_ID])
