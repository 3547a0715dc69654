"""Subjects: built in one place, and never two for one thing."""

from uuid import UUID

import pytest

from taskmill.contracts import streams, subjects
from taskmill.contracts.events import EventType
from taskmill.contracts.registry import COMMANDS
from taskmill.contracts.status import Priority

TASK_ID = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")


def test_the_subjects_are_these() -> None:
    """Other processes, and users' subscriptions, rely on them: they change only with a new version."""
    assert subjects.command("create") == "tasks.v1.cmd.create"
    assert subjects.work("default", Priority.HIGH, "echo", TASK_ID) == f"tasks.v1.work.default.high.echo.{TASK_ID}"
    assert subjects.work_filter("default", Priority.HIGH) == "tasks.v1.work.default.high.>"
    assert subjects.report("host-1-ab") == "tasks.v1.report.host-1-ab"
    assert subjects.event(EventType.COMPLETED, "echo", TASK_ID) == f"tasks.v1.event.completed.echo.{TASK_ID}"
    assert subjects.cancel(TASK_ID) == f"tasks.v1.ctl.cancel.{TASK_ID}"
    assert subjects.QUEUES_PAUSED_SUBJECT == "tasks.v1.ctl.paused"
    assert subjects.drain("worker-1") == "tasks.v1.ctl.drain.worker-1"
    assert subjects.replay("billing") == "tasks.v1.replay.billing"
    assert subjects.RELAY_WAKE_SUBJECT == "tasks.v1.ctl.relay"
    verbs = ["create", "create_many", "get", "list", "count", "update", "delete", "process", "cancel"]
    verbs += [
        "start_bulk",
        "get_bulk",
        "attempts",
        "lines",
        "events",
        "read_log",
        "health",
        "get_checkpoint",
        "list_kinds",
    ]
    verbs += ["create_webhook", "get_webhook", "list_webhooks", "update_webhook", "delete_webhook", "rotate_webhook"]
    verbs += ["switch_off_webhook", "prepare_delivery", "start_replay", "get_replay"]
    verbs += ["read_activity", "list_processors", "list_queues", "pause_queue", "resume_queue", "drain_processor"]
    verbs += ["create_key", "get_key", "list_keys", "revoke_key", "find_keys"]
    verbs += ["put_limit", "get_limit", "list_limits", "delete_limit"]
    verbs += ["put_share", "get_share", "list_shares", "delete_share"]
    verbs += ["create_schedule", "get_schedule", "list_schedules", "update_schedule", "delete_schedule"]
    verbs += ["run_schedule", "backfill_schedule", "get_next_times", "list_fires"]
    verbs += ["create_group", "get_group", "list_groups"]
    assert [command.subject for command in COMMANDS] == [f"tasks.v1.cmd.{verb}" for verb in verbs]


def test_each_stream_has_its_own_subjects() -> None:
    """No message is stored twice: the streams' subjects do not overlap, and commands are in none."""
    specs = [streams.work_stream(), streams.reports_stream(1), streams.events_stream(1, 1), streams.set_aside_stream()]
    stored = [subject.rstrip("*>") for spec in specs for subject in spec.subjects]
    assert len(set(stored)) == len(stored) == 4
    assert [command.subject for command in COMMANDS if command.subject.startswith(tuple(stored))] == []


def test_a_consumer_gets_the_work_of_its_queue_and_priority() -> None:
    """And of no other, also if a queue's name begins like another's."""
    spec = streams.work_consumer("web", Priority.LOW, 30)
    prefix = spec.filter_subject.removesuffix(">")
    assert subjects.work("web", Priority.LOW, "echo", TASK_ID).startswith(prefix)
    assert not subjects.work("web", Priority.HIGH, "echo", TASK_ID).startswith(prefix)
    assert not subjects.work("web-2", Priority.LOW, "echo", TASK_ID).startswith(prefix)
    assert spec.name == "work-web-low"


@pytest.mark.parametrize("queue", ["web", "web-2", "a-high_b", "low"])
def test_the_name_of_a_consumer_tells_its_queue(queue: str) -> None:
    """Whatever is in it; other consumers have none."""
    names = [streams.work_consumer_name(queue, priority) for priority in Priority]
    assert {streams.parse_work_consumer(name) for name in names} == {queue}
    assert [streams.parse_work_consumer(name) for name in ("reports", "work-x", "other-web-low")] == [None] * 3


def test_filters_of_events() -> None:
    """Each condition narrows the subjects; without one it is all of them, in one."""
    assert subjects.event_filters() == ["tasks.v1.event.>"]
    assert subjects.event_filters(kind="echo") == ["tasks.v1.event.*.echo.*"]
    assert subjects.event_filters(task_id=TASK_ID) == [f"tasks.v1.event.*.*.{TASK_ID}"]
    assert subjects.event_filters(types=[EventType.FAILED, EventType.COMPLETED], kind="echo") == [
        "tasks.v1.event.completed.echo.*",
        "tasks.v1.event.failed.echo.*",
    ]


@pytest.mark.parametrize(
    "subject", ["tasks.v1.event.a", f"tasks.v1.work.created.echo.{TASK_ID}", "a", "tasks.v1.event.created.echo.x"]
)
def test_the_subject_of_an_event_is_read_again(subject: str) -> None:
    """And no other."""
    assert subjects.parse_event(subjects.event(EventType.CREATED, "echo", TASK_ID)) == ("created", "echo", TASK_ID)
    with pytest.raises(ValueError, match=r".+"):
        subjects.parse_event(subject)
