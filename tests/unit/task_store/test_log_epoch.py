"""What tells the epochs of the log apart."""

import json
from datetime import UTC, datetime, timedelta

from taskmill.contracts.events import EVENT_SOURCE, TaskEvent
from taskmill.task_store.domain.events import of_source
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch
from taskmill.task_store.domain.runs import decide_process
from tests.support.task_states import pending_task

NOW = datetime(2026, 11, 30, tzinfo=UTC)
LATER = LogEpoch(int(NOW.timestamp()) * 1_000_000)


def test_the_first_epoch_changes_nothing() -> None:
    """A log that was never set back has the source that it always had, and its dispatches count from one."""
    assert (FIRST_EPOCH.source, FIRST_EPOCH.dispatch_floor) == (EVENT_SOURCE, 0)


def test_a_later_epoch_is_above_all_before_it() -> None:
    """Each second of clock is one dispatch; the number fits its column until it is too late to care."""
    assert LATER.source == f"{EVENT_SOURCE}/{LATER.begin}"
    assert 0 < LATER.dispatch_floor < LogEpoch(LATER.begin + 1_000_000).dispatch_floor
    assert LogEpoch(int(datetime(2090, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000).dispatch_floor < 2**31


def test_no_position_is_ahead_of_the_clock() -> None:
    """But for what clocks differ by: nothing has been given out so high, whatever somebody says."""
    assert FIRST_EPOCH.may_have_given_out(LATER.begin + 1_000_000_000, NOW)
    assert FIRST_EPOCH.may_have_given_out(LATER.begin, NOW - timedelta(hours=23))
    assert not FIRST_EPOCH.may_have_given_out(LATER.begin, NOW - timedelta(hours=25))
    assert not FIRST_EPOCH.may_have_given_out(2**63 - 1, NOW)


def test_an_epoch_may_be_ahead_of_the_clock() -> None:
    """It began where a clock stood that has been set right since."""
    before = NOW - timedelta(days=30)
    assert LATER.may_have_given_out(LATER.begin + 1_000_000, before)
    assert not LATER.may_have_given_out(2**63 - 1, before)


def test_an_event_has_the_source_of_its_epoch() -> None:
    """And nothing else of it changes, whatever the task says of itself."""
    told = f'"source":"{EVENT_SOURCE}"'
    state = pending_task(payload=json.dumps({"text": told}))
    [event] = decide_process(state, KindBook({}).defaults("echo"), NOW).events
    changed = of_source(event, LATER.source)
    first, later = (TaskEvent.model_validate_json(one.document) for one in (event, changed))
    assert later == first.model_copy(update={"source": LATER.source})
    assert changed._replace(document=event.document) == event
