"""Commands against real services: what they print, and what they end with."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from taskmill.cli.embedded.ports import free_port
from taskmill.cli.exit_codes import ExitCode
from taskmill.sdk import Context, TaskApp
from tests.support.cli import Command, CommandServer
from tests.support.eventually import holds
from tests.support.services import running_services

UNKNOWN_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"

handlers = TaskApp("handlers")


@handlers.task("tell-lies")
async def tell_lies(payload: Any, _ctx: Context) -> None:
    """Fail with a text that commands terminals, and turns itself round."""
    raise RuntimeError(f"no \x9b31m luck \u202e {payload}")


@pytest_asyncio.fixture
async def taskmill(database_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[CommandServer]:
    """The command, and everything that it asks."""
    async with running_services(database_url, nats_url, apps=[handlers]) as services:
        command = Command(tmp_path, {"TASKMILL_URL": str(services.client.base_url)})
        async with CommandServer.running(command) as server:
            yield server


async def test_attempts_and_kinds(taskmill: CommandServer) -> None:
    """Attempts with errors and tracebacks, of which nothing commands the terminal; kinds with what they declare."""
    ran = await taskmill("submit", "tell-lies", "-d", "1", "--wait", "-o", "json")
    assert ran.status == ExitCode.TASK_FAILED, ran
    task_id = ran.json["id"]
    table = await taskmill("attempts", task_id)
    assert (table.status, "--traceback" in table.err) == (0, True), table
    header, line = table.out.splitlines()
    assert header.split() == ["ATTEMPT", "RUN", "OUTCOME", "STARTED", "TOOK", "PROCESSOR", "ERROR"]
    assert line.endswith("handler_error: no \\x9b31m luck \\u202e 1")
    whole = await taskmill("attempts", task_id, "--traceback")
    assert "test_commands.py" in whole.out
    documents = await taskmill("attempts", task_id, "-o", "json")
    assert documents.json[0]["traceback"].endswith("RuntimeError: no \x9b31m luck \u202e 1\n"), documents
    for printed in (table.out, whole.out, documents.out):
        assert not {"\x9b", "\u202e"} & set(printed)
    assert (await taskmill("attempts", UNKNOWN_ID)).status == ExitCode.NOT_FOUND
    ran = await taskmill("kinds")
    lines = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()}
    assert lines["sleep"] == ["served", "default", "1", "-", "seconds*,steps"], ran
    assert lines["webhook-delivery"][:3] == ["served", "default", "10"]
    assert {kind["kind"] for kind in (await taskmill("kinds", "-o", "json")).json} == lines.keys() - {"KIND"}


async def test_many_tasks(taskmill: CommandServer) -> None:
    """They are counted, processed, cancelled and deleted; who refuses is told of in the exit code."""
    submit = ("submit", "echo", "--no-process", "-l", "bulk=me", "-o", "json")
    ids = [(await taskmill(*submit)).json["id"] for _ in range(3)]
    chosen = ("--label", "bulk=me", "--status", "pending", "--created-after", "-1h", "--created-before", "+1h")
    counted = await taskmill("bulk", "delete", *chosen, "--dry-run", "--wait", "-o", "json")
    assert (counted.status, counted.json["counts"]) == (0, {"matched": 3, "done": 0, "refused": 0}), counted
    done = await taskmill("bulk", "process", *ids, "--wait", "--key", "once")
    assert (done.status, done.err) == (0, ""), done
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert (lines["action"], lines["which"], lines["status"], lines["done"]) == ("process", "3 ids", "completed", "3")
    again = await taskmill("bulk", "process", *ids, "--key", "once", "-o", "json")
    assert again.json["id"] == lines["id"]
    shown = await taskmill("bulk", "show", lines["id"], "--wait", "-o", "jsonl")
    assert (shown.status, shown.json["counts"]["done"]) == (0, 3), shown
    for task_id in ids:
        assert (await taskmill("watch", task_id)).status == 0
    refused = await taskmill("bulk", "cancel", "--label", "bulk", "--kind", "echo", "--wait")
    assert (refused.status, "3 already_finished" in refused.out) == (ExitCode.FAILED, True), refused
    late = await taskmill("bulk", "delete", "--label", "bulk=me", "--wait", "--within", "0")
    assert (late.status, "it goes on" in late.err) == (ExitCode.NOT_ENDED, True), late

    async def are_gone() -> None:
        assert (await taskmill("list", "-l", "bulk=me", "-o", "json")).json == []

    await holds(are_gone)
    assert (await taskmill("bulk", "show", UNKNOWN_ID)).status == ExitCode.NOT_FOUND


async def test_schedules(taskmill: CommandServer) -> None:
    """They are created, listed, changed, paused, resumed, run, made up for, and deleted."""
    task = ("-d", '{"a": 1}', "-l", "nightly=yes")
    made = await taskmill("schedule", "create", "Nightly", "echo", "--cron", "0 3 * * *", "--zone", "UTC", *task)
    assert made.status == 0, made
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in made.out.splitlines()}
    schedule_id = lines["id"]
    assert (lines["state"], lines["when"]) == ("on", "At 03:00 every day, UTC")
    assert len((await taskmill("schedule", "next", schedule_id)).out.splitlines()) == 11
    listed = await taskmill("schedule", "ls")
    assert listed.out.split()[-6:] == ["Nightly", "At", "03:00", "every", "day,", "UTC"], listed
    changed = await taskmill("schedule", "update", schedule_id, "--every", "3600", "-d", '{"b": 2}', "-o", "json")
    assert (changed.json["cron"], changed.json["timing"]) == (None, "Every 1 hour"), changed
    assert changed.json["template"]["payload"] == {"a": 1, "b": 2}
    assert (await taskmill("schedule", "pause", schedule_id, "-o", "json")).json["is_paused"] is True
    assert (await taskmill("schedule", "resume", schedule_id, "-o", "json")).json["next_fire_at"] is not None
    ran = await taskmill("schedule", "run", schedule_id, "-o", "json")
    assert (ran.status, ran.json["schedule_id"]) == (0, schedule_id), ran
    filled = await taskmill("schedule", "backfill", schedule_id, "--since", "-3h", "-o", "json")
    assert (filled.status, filled.json["created"]) == (0, 3), filled
    assert len((await taskmill("schedule", "fires", schedule_id)).out.splitlines()) == 5
    assert len((await taskmill("list", "--schedule", schedule_id, "-o", "json")).json) == 4
    both = await taskmill("schedule", "create", "N", "echo", "--every", "5", "--cron", "* * * * *")
    assert (both.status, "either --cron, or --every" in both.err) == (ExitCode.USAGE, True), both
    assert (await taskmill("schedule", "delete", schedule_id)).status == 0
    assert (await taskmill("schedule", "show", schedule_id)).status == ExitCode.NOT_FOUND


async def test_groups(taskmill: CommandServer, tmp_path: Path) -> None:
    """They are made from a file, followed to their outcome, listed and cancelled; a task may come after others."""
    file = tmp_path / "group.json"
    tasks = [{"kind": "echo", "payload": 1}, {"title": "Two"}]
    file.write_text(json.dumps({"title": "Both", "tasks": tasks, "on_completed": {"kind": "echo"}}))
    made = await taskmill("group", "create", str(file), "--key", "both", "--wait")
    lines = {line.split("  ")[0]: line.rsplit("  ", 1)[1].strip() for line in made.out.splitlines()}
    assert (made.status, lines["status"], lines["tasks"]) == (0, "completed", "2 completed"), made
    listed = await taskmill("list", "--group", lines["id"], "-o", "json")
    assert {task["title"] for task in listed.json} == {"echo", "Two"}
    after = await taskmill("submit", "echo", "--after", lines["on completed"], "--wait", "-o", "json")
    assert (after.status, after.json["status"]) == (0, "completed"), after
    file.write_text(json.dumps({"title": "None", "tasks": [{"kind": "echo"}]}))
    pending = (await taskmill("group", "create", str(file), "--no-process", "-o", "json")).json
    late = await taskmill("group", "show", pending["id"], "--wait", "--within", "0")
    assert (late.status, "it goes on" in late.err) == (ExitCode.NOT_ENDED, True), late
    waits = (await taskmill("submit", "echo", "--after", listed.json[0]["id"], "--run-at", "+1h", "-o", "json")).json
    assert (await taskmill("cancel", waits["id"])).status == 0
    cancelled = await taskmill("group", "cancel", pending["id"], "--wait", "-o", "json")
    assert (cancelled.status, cancelled.json["counts"]["done"]) == (0, 1), cancelled
    failed = await taskmill("group", "show", pending["id"], "--wait", "-o", "json")
    assert (failed.status, failed.json["status"]) == (ExitCode.FAILED, "failed"), failed
    found = await taskmill("group", "ls", "-n", "2", "-o", "json")
    assert [group["id"] for group in found.json] == [pending["id"], lines["id"]]
    assert (await taskmill("group", "show", UNKNOWN_ID)).status == ExitCode.NOT_FOUND
    for wrong in ("[", "[]", '{"title": "t", "tasks": 7}', '{"title": "t", "tasks": [], "x": 1}'):
        file.write_text(wrong)
        refused = await taskmill("group", "create", str(file))
        assert (refused.status, "FILE" in refused.err) == (ExitCode.USAGE, True), refused


async def test_webhooks(taskmill: CommandServer) -> None:
    """They are created, listed, changed, told of, given another secret, told again, and deleted."""
    conditions = ("--type", "completed", "--label", "team=web", "--label", "z")
    made = await taskmill("webhook", "create", "http://127.0.0.1:9/x", *conditions, "--description", "D", "--off")
    assert (made.status, "not shown again" in made.err) == (0, True), made
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in made.out.splitlines()}
    webhook_id, secret = lines["id"], lines["secret"]
    assert (lines["state"], lines["types"], lines["labels"]) == ("off (client)", "completed", "team:web, z")
    listed = await taskmill("webhook", "ls")
    assert listed.out.splitlines()[1].endswith("http://127.0.0.1:9/x  completed, team:web, z"), listed
    changed = await taskmill(
        "webhook", "update", webhook_id, "--on", "--clear", "labels", "--kind", "echo", "-o", "json"
    )
    assert (changed.json["is_enabled"], changed.json["labels"], changed.json["kind"]) == (True, [], "echo"), changed
    shown = await taskmill("webhook", "show", webhook_id)
    assert (shown.status, secret in shown.out) == (0, False), shown
    stale = await taskmill("webhook", "rotate", webhook_id, "--if-match", "1")
    assert stale.status == ExitCode.CONFLICT, stale
    rotated = await taskmill("webhook", "rotate", webhook_id, "--if-match", "2", "-o", "json")
    assert (rotated.status, rotated.json["secret"] != secret, rotated.err) == (0, True, ""), rotated
    assert (await taskmill("submit", "echo", "--wait")).status == 0
    replayed = await taskmill("webhook", "replay", webhook_id, "--after", "0", "--type", "completed", "--wait")
    assert (replayed.status, f"webhook {webhook_id}" in replayed.out) == (0, True), replayed
    replay_id = replayed.out.split()[1]
    assert (await taskmill("replay", "show", replay_id, "-o", "json")).json["told"] == 1
    told = await taskmill("webhook", "deliveries", webhook_id, "-o", "json")
    assert {one["replay_id"] for one in told.json} <= {replay_id, None}
    assert len((await taskmill("webhook", "deliveries", webhook_id, "-n", "1")).out.splitlines()) == 2

    async def is_delivered_again() -> None:
        # Not while it is being sent.
        again = await taskmill("webhook", "redeliver", webhook_id, told.json[0]["task_id"])
        assert (again.status, again.out.split()[0]) == (0, "TASK"), again

    await holds(is_delivered_again)
    published = await taskmill("replay", "subject", "billing", "--after", "0", "--until", "2", "--wait", "-o", "json")
    assert (published.json["subject"], published.json["told"]) == ("tasks.v1.replay.billing", 2), published
    deleted = await taskmill("webhook", "delete", webhook_id)
    assert (deleted.status, deleted.err) == (0, f"{webhook_id} is deleted.\n")
    for arguments in (("webhook", "show"), ("webhook", "delete"), ("webhook", "deliveries"), ("replay", "show")):
        assert (await taskmill(*arguments, UNKNOWN_ID)).status == ExitCode.NOT_FOUND, arguments


async def test_the_end_of_the_log(taskmill: CommandServer) -> None:
    """The newest events that are wanted; of a task, too. That a list goes on is said to people, and not with JSON."""
    ids = [(await taskmill("submit", "echo", "--wait", "-o", "json")).json["id"] for _ in range(2)]
    last = await taskmill("events", "--last", "2", "-t", "completed", "-o", "json")
    assert [entry["event"]["subject"] for entry in last.json] == ids
    of_task = await taskmill("events", "--last", "3", "--task", ids[0])
    assert [line.split()[2] for line in of_task.out.splitlines()] == ["queued", "started", "completed"]
    followed = await taskmill("events", "--last", "1", "--follow", "-n", "1", "-o", "jsonl")
    assert followed.json["event"]["subject"] == ids[1]
    assert "more than 1" in (await taskmill("list", "-n", "1")).err
    assert (await taskmill("list", "-n", "1", "-o", "json")).err == ""


async def test_nobody_is_there_to_follow(tmp_path: Path) -> None:
    """Who follows waits for somebody for as long as is said, at the beginning, too."""
    url = f"http://127.0.0.1:{free_port()}"
    async with CommandServer.running(Command(tmp_path, {"TASKMILL_URL": url})) as taskmill:
        for arguments in (["watch", UNKNOWN_ID], ["watch", "--all"], ["events", "--follow"]):
            ran = await taskmill(*arguments, "--reconnect-within", "0.3")
            assert (ran.status, f"no answer from {url}" in ran.err) == (ExitCode.UNREACHABLE, True), ran
