from collections.abc import Sequence
from uuid import UUID

import pytest

from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.events import EventType
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.adapters.work_stream import _wanted_work as wanted_work
from taskmill.task_store.domain import publication
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.publication import (
    CommittedEvents,
    LogSlice,
    PayloadNotReadError,
    UnpublishedEvent,
    WaitingWork,
    unpublished_events,
)
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import NOW, TASK_ID, pending_task

OTHER_ID = UUID(int=7)


def event(
    position: int,
    *,
    task_id: UUID = TASK_ID,
    work: WaitingWork | None = None,
    must_stop: bool = False,
    characters: int = 2,
) -> UnpublishedEvent:
    """An event with nothing to it but what a test is about."""
    return UnpublishedEvent(position, task_id, 1, EventType.CREATED, "echo", "x" * characters, must_stop, work)


def queued() -> tuple[LoggedEvent, TaskState, WaitingWork]:
    """A task that has just been queued: its event, its state and its work."""
    decision = decide_process(pending_task(), KindDefaults(), NOW)
    (logged,) = decision.events
    (found,) = unpublished_events([logged], {TASK_ID: decision.state}, KindBook({}), 5)
    assert found.work is not None
    return logged, decision.state, found.work


def behind(committed: CommittedEvents, position: int, limit: int = 100, max_characters: int = 1_000) -> LogSlice | None:
    """What is known behind a position."""
    return committed.behind(position, limit=limit, max_characters=max_characters)


def positions(found: LogSlice | None) -> Sequence[int]:
    """Where the events of a slice stand."""
    assert found is not None
    return [one.position for one in found.events]


def test_work_waits_for_the_dispatch_that_the_event_asks_for() -> None:
    """A task that was dispatched again meanwhile, ended or is deleted has no work for an older event."""
    logged, state, work = queued()
    assert (work.dispatch, work.payload, work.title) == (state.dispatch, state.payload, state.title)
    later = state._replace(dispatch=state.dispatch + 1)
    for states in ({TASK_ID: later}, {}):
        (found,) = unpublished_events([logged], states, KindBook({}), 5)
        assert found.work is None


def test_the_time_limit_of_the_kind_holds_unless_the_task_has_its_own() -> None:
    """As where the log is read."""
    logged, state, _ = queued()
    kinds = KindBook({state.kind: KindDefaults(timeout_seconds=7)})
    for own, expected in ((None, 7), (3.0, 3)):
        states = {TASK_ID: state._replace(timeout_seconds=own)}
        (found,) = unpublished_events([logged], states, kinds, 5)
        assert found.work is not None
        assert found.work.timeout_seconds == expected


@pytest.mark.parametrize(
    ("own", "declared", "limit", "first"),
    [(None, None, 1, 1), (None, 4, 4, 0), (1, 4, 1, 0), (1, None, 1, 0)],
    ids=["nobody says", "the kind says", "the task says", "the task alone says"],
)
def test_work_says_which_attempt_is_the_last(own: int | None, declared: int | None, limit: int, first: int) -> None:
    """As the task says, or its kind by now; where neither does, what the handler declares will hold."""
    logged, state, _ = queued()
    kinds = KindBook({state.kind: KindDefaults(max_attempts=declared)})
    (found,) = unpublished_events([logged], {TASK_ID: state._replace(max_attempts=own)}, kinds, 5)
    assert found.work is not None
    assert (found.work.attempt_limit, found.work.first_attempt) == (limit, first)


def test_a_payload_that_was_not_read_is_told() -> None:
    """Work without its payload would be wrong work."""
    logged, state, _ = queued()
    with pytest.raises(PayloadNotReadError):
        unpublished_events([logged], {TASK_ID: state._replace(payload=None)}, KindBook({}), 5)
    assert not issubclass(PayloadNotReadError, TaskmillError)


def test_later_events_take_work_back() -> None:
    """Of one task, only the newest work is published, and none that is in vain by now."""
    *_, work = queued()
    newer = work._replace(dispatch=work.dispatch + 1)
    first, other = event(1, work=work), event(2, task_id=OTHER_ID, work=work)
    assert wanted_work([first, other, event(3, must_stop=True)]) == [(other, work)]
    again = event(4, work=newer)
    assert wanted_work([first, event(3, must_stop=True), again]) == [(again, newer)]
    assert wanted_work([first, again]) == [(again, newer)]


def test_what_follows_the_cursor_is_known() -> None:
    """Events come in order, as many as are wanted, and stay until the cursor has passed them."""
    committed = CommittedEvents()
    committed.add([event(4), event(5)])
    committed.add([event(6)])
    assert positions(behind(committed, 3)) == [4, 5, 6]
    assert behind(committed, 3, limit=2) == LogSlice([event(4), event(5)], has_more=True)
    assert behind(committed, 4) == LogSlice([event(5), event(6)], has_more=False)
    assert behind(committed, 6) is None


def test_a_gap_must_be_read() -> None:
    """What another store has committed in between is in the log only."""
    committed = CommittedEvents()
    committed.add([event(4), event(5)])
    committed.add([event(8)])
    assert behind(committed, 2) is None
    assert behind(committed, 3) == LogSlice([event(4), event(5)], has_more=True)
    assert behind(committed, 5) is None
    assert positions(behind(committed, 7)) == [8]


def test_commits_may_be_heard_of_in_another_order() -> None:
    """Creations and other writes commit by themselves."""
    committed = CommittedEvents()
    committed.add([event(6), event(9)])
    committed.add([event(7), event(8)])
    assert behind(committed, 4) is None
    committed.add([event(5)])
    assert positions(behind(committed, 4)) == [5, 6, 7, 8, 9]


def test_a_slice_is_only_so_large() -> None:
    """But one event always fits, or the relay would stand still."""
    committed = CommittedEvents()
    committed.add([event(1, characters=50), event(2, characters=60), event(3, characters=900)])
    assert positions(behind(committed, 0, max_characters=110)) == [1, 2]
    assert positions(behind(committed, 0, max_characters=109)) == [1]
    assert positions(behind(committed, 2, max_characters=10)) == [3]


@pytest.mark.parametrize(("limit", "name"), [(3, "MAX_COMMITTED_EVENTS"), (7, "MAX_COMMITTED_CHARACTERS")])
def test_too_much_is_forgotten(monkeypatch: pytest.MonkeyPatch, limit: int, name: str) -> None:
    """It is all in the log."""
    monkeypatch.setattr(publication, name, limit)
    committed = CommittedEvents()
    committed.add([event(1), event(2), event(3)])
    assert positions(behind(committed, 1)) == [2, 3]
    committed.add([event(4)])
    assert positions(behind(committed, 1)) == [2, 3, 4]
    committed.add([event(5)])
    assert behind(committed, 1) is None
    committed.add([event(6)])
    assert positions(behind(committed, 5)) == [6]
