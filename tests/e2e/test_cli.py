"""Every command of `taskmill`, as it is installed, against a stack as a user starts it."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from taskmill.cli.embedded.ports import free_port
from taskmill.cli.exit_codes import ExitCode
from tests.support.cli import Command, Terminal
from tests.support.eventually import holds
from tests.support.stack import TaskmillUp

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[TaskmillUp]:
    """Everything, for all tests here: each has tasks of its own."""
    with server_directory() as directory:
        stack = TaskmillUp(directory / "data")
        try:
            await stack.start()
            yield stack
        finally:
            await stack.end()


@pytest.fixture
def taskmill(stack: TaskmillUp, tmp_path: Path) -> Command:
    """The command, told where the stack is."""
    return Command(tmp_path, {"TASKMILL_URL": stack.url, "TASKMILL_DATA": str(stack.data_dir)})


async def _submitted(taskmill: Command, *arguments: str) -> str:
    ran = await taskmill("submit", *arguments, "-o", "jsonl")
    assert ran.status == 0, ran
    return str(ran.json["id"])


async def test_a_task_is_submitted(taskmill: Command) -> None:
    """With all that can be said of it; what came out is data, the rest is said beside it."""
    ran = await taskmill(
        *("submit", "echo", "-d", '{"a": 1}', "--title", "T", "--description", "D", "--queue", "default"),
        *("--priority", "high", "--label", "team=web", "--label", "stage=a=b", "--max-attempts", "3"),
        *("--timeout", "30", "--wait", "-o", "json"),
    )
    assert ran.status == 0, ran
    task = ran.json
    assert (task["status"], task["result"], task["title"]) == ("completed", {"a": 1}, "T")
    assert (task["priority"], task["labels"]) == ("high", {"team": "web", "stage": "a=b"})
    assert (task["max_attempts"], task["timeout_seconds"], task["description"]) == (3, 30, "D")
    assert ran.err == f"submitted {task['id']}\n"
    shown = await taskmill("get", task["id"])
    assert re.search(r"^result +\{\"a\":1\}$", shown.out, re.MULTILINE), shown
    assert (await taskmill("get", task["id"], "-o", "jsonl")).json == task


async def test_api_keys_are_made_and_revoked(taskmill: Command) -> None:
    """The key is shown once, and is data; what it may not do is told, and so is that it opens nothing any more."""
    made = await taskmill("key", "create", "ci", "--scope", "tasks:read", "--expires-in", "30", "-o", "json")
    assert made.status == 0, made
    key, key_id = made.json["key"], made.json["id"]
    assert (await taskmill("list", TASKMILL_API_KEY=key)).status == 0
    refused = await taskmill("submit", "echo", TASKMILL_API_KEY=key)
    assert (refused.status, "tasks:write" in refused.err) == (ExitCode.FAILED, True), refused
    listed = await taskmill("key", "ls")
    assert re.search(rf"^{key_id} +ci +usable +tasks:read ", listed.out, re.MULTILINE), listed
    assert key not in listed.out
    revoked = await taskmill("key", "revoke", key_id)
    assert re.search(r"^state +revoked$", revoked.out, re.MULTILINE), revoked
    opened = await taskmill("list", TASKMILL_API_KEY=key)
    assert (opened.status, "TASKMILL_API_KEY" in opened.err) == (ExitCode.FAILED, True), opened
    assert (await taskmill("key", "revoke", "0" * 16)).status == ExitCode.NOT_FOUND
    assert (await taskmill("key", "create", "x", "--all", "--scope", "tasks:read")).status == ExitCode.USAGE


async def test_where_a_payload_comes_from(taskmill: Command) -> None:
    """An argument, a file, stdin; or nowhere."""
    (taskmill.directory / "payload.json").write_text("[1]")
    for arguments, stdin, payload in (
        (["-d", '"x"'], "", "x"),
        (["-d", "@payload.json"], "", [1]),
        (["-d", "-"], '{"b": null}', {"b": None}),
        ([], "", None),
    ):
        ran = await taskmill("submit", "echo", *arguments, "-w", "-o", "json", stdin=stdin)
        assert ran.json["result"] == payload, ran


async def test_a_command_that_is_wrong(taskmill: Command) -> None:
    """It ends with 2, says what is wrong, and prints no data, whoever finds it."""
    for arguments, said in [
        (["submit", "echo", "--title", ""], "title"),
        (["list", "--limit", "-1"], "--limit"),
        (["lst"], "Did you mean 'list'"),
    ]:
        ran = await taskmill(*arguments)
        assert (ran.status, ran.out) == (ExitCode.USAGE, ""), ran
        assert said in ran.err
        assert "Traceback" not in ran.err


async def test_the_same_under_a_key(taskmill: Command) -> None:
    """It is carried out once; another command under the key is refused."""
    arguments = ("echo", "-d", "1", "--key", "k1")
    assert await _submitted(taskmill, *arguments) == await _submitted(taskmill, *arguments)
    ran = await taskmill("submit", "echo", "-d", "2", "--key", "k1")
    assert ran.status == ExitCode.CONFLICT, ran


async def test_a_unique_key(taskmill: Command) -> None:
    """Who holds it is named, and a list finds those that have it."""
    under = ("submit", "echo", "--no-process", "--unique-key", "cli-1")
    first = await _submitted(taskmill, *under[1:])
    refused = await taskmill(*under)
    assert (refused.status, first in refused.err, "--on-conflict" in refused.err) == (ExitCode.CONFLICT, True, True)
    assert await _submitted(taskmill, *under[1:], "--on-conflict", "return_existing") == first
    last = await _submitted(taskmill, *under[1:], "--on-conflict", "replace_waiting", "--held-for", "60")
    found = await taskmill("list", "--unique-key", "cli-1", "-o", "jsonl")
    assert [(task["id"], task["status"]) for task in found.lines] == [(last, "pending"), (first, "cancelled")]
    late = await taskmill("submit", "echo", "--unique-key", "late", "--debounce", "3600", "-o", "jsonl")
    assert (late.json["status"], late.json["unique_key"]) == ("scheduled", "late")


async def test_how_a_task_ends(taskmill: Command) -> None:
    """The exit code says it to whoever waits: failed, cancelled, not yet."""
    failed = await taskmill("submit", "http-request", "-d", '{"url": "nonsense"}', "--wait", "-o", "json")
    assert (failed.status, failed.json["status"]) == (ExitCode.TASK_FAILED, "failed"), failed
    assert "invalid_payload" in failed.err
    for output in ("table", "jsonl"):
        watched = await taskmill("watch", failed.json["id"], "-o", output)
        assert watched.status == ExitCode.TASK_FAILED, watched
    late = await taskmill("submit", "echo", "--run-at", "+1h", "--wait", "--within", "1", "-o", "json")
    assert late.status == ExitCode.NOT_ENDED, late
    assert "it goes on" in late.err
    task_id = late.err.split()[1]
    assert (await taskmill("cancel", task_id)).out.split()[-1] == "cancelled"
    watched = await taskmill("watch", task_id)
    assert watched.status == ExitCode.TASK_CANCELLED, watched


async def test_a_task_is_followed(taskmill: Command) -> None:
    """From its first event to its end, in lines for people, or of JSON."""
    ran = await taskmill("submit", "sleep", "-d", '{"seconds": 0.2, "steps": 2}', "--follow")
    assert ran.status == 0, ran
    types = [line.split()[2] for line in ran.out.splitlines()]
    assert (types[:3], types[-1]) == (["created", "queued", "started"], "completed")
    task_id = await _submitted(taskmill, "echo", "-d", "5")
    watched = await taskmill("watch", task_id, "-o", "jsonl")
    assert watched.status == 0, watched
    assert [line["event"]["sequence"] for line in watched.lines] == list(range(1, len(watched.lines) + 1))
    assert watched.lines[-1]["event"]["data"]["result"] == 5
    only = await taskmill("watch", task_id, "--type", "completed", "-o", "jsonl")
    assert only.lines == watched.lines[-1:]


async def test_tasks_are_listed(taskmill: Command) -> None:
    """Those that meet the conditions, as many as are wanted."""
    ids = [await _submitted(taskmill, "echo", "--no-process", "-l", "list=me", "--title", f"t{n}") for n in range(3)]
    chosen = ("list", "--label", "list=me")
    everything = await taskmill(*chosen, "-o", "json")
    assert [task["id"] for task in everything.json] == ids[::-1]
    assert [task["id"] for task in (await taskmill(*chosen, "-o", "jsonl", "--oldest-first")).lines] == ids
    some = await taskmill(*chosen, "--limit", "2")
    assert some.out.split("\n")[0].split() == ["ID", "STATUS", "KIND", "QUEUE", "PRIORITY", "AGE", "TITLE"]
    assert len(some.out.splitlines()) == 3
    assert "--limit 0" in some.err
    for arguments in (["--status", "completed"], ["--kind", "other"], ["--queue", "other"], ["--priority", "low"]):
        assert (await taskmill(*chosen, *arguments, "-o", "json")).json == [], arguments
    conditions = ["--status", "pending", "--status", "failed", "--kind", "echo", "--title", "T1"]
    assert [task["id"] for task in (await taskmill(*chosen, *conditions, "-o", "json")).json] == [ids[1]]
    nothing = await taskmill("list", "--label", "no=body")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "(none)\n")


async def test_tasks_are_changed(taskmill: Command) -> None:
    """Each that can be is; the others are told of, and the code is theirs."""
    ids = [await _submitted(taskmill, "echo", "--run-at", "+1h") for _ in range(2)]
    ran = await taskmill("cancel", ids[0], UNKNOWN_ID, ids[1], "-o", "json")
    assert ran.status == ExitCode.NOT_FOUND
    assert ran.json == [{"id": one, "done": "cancelled"} for one in ids]
    assert UNKNOWN_ID in ran.err
    again = await taskmill("cancel", *ids)
    assert (again.status, again.out) == (ExitCode.CONFLICT, ""), again
    assert (await taskmill("cancel", ids[0], UNKNOWN_ID)).status == ExitCode.FAILED
    processed = await taskmill("process", *ids)
    assert (processed.status, len(processed.out.splitlines())) == (0, 3), processed
    assert (await taskmill("watch", ids[0])).status == 0
    running = await _submitted(taskmill, "sleep", "-d", '{"seconds": 60}')
    refused = await taskmill("delete", running)
    assert (refused.status, "taskmill delete --force" in refused.err) == (ExitCode.CONFLICT, True), refused
    deleted = await taskmill("delete", running, "--force", "-o", "jsonl")
    assert deleted.json == {"id": running, "done": "deleted"}
    assert (await taskmill("get", running)).status == ExitCode.NOT_FOUND


async def test_lines(taskmill: Command) -> None:
    """A handler that wrote none has none; a task that is none is told of."""
    task_id = await _submitted(taskmill, "echo")
    assert (await taskmill("logs", task_id, "-o", "json")).json == []
    assert (await taskmill("logs", UNKNOWN_ID)).status == ExitCode.NOT_FOUND


async def test_what_happened(taskmill: Command) -> None:
    """Of one task, from behind a position, of some types; in lines and as an array."""
    ran = await taskmill("submit", "echo", "-l", "events=me", "--wait", "-o", "json")
    task_id = ran.json["id"]
    of_task = await taskmill("events", "--task", task_id, "-o", "json")
    types = [entry["event"]["type"].split(".")[2] for entry in of_task.json]
    assert types == ["created", "queued", "started", "completed"]
    first = of_task.json[0]["position"]
    behind = await taskmill("events", "--after", str(first), "--label", "events=me", "-o", "jsonl")
    assert behind.lines == of_task.json[1:]
    some = await taskmill(*("events", "--label", "events=me", "--kind", "echo", "--queue", "default"), "-n", "2")
    assert [line.split()[2] for line in some.out.splitlines()] == types[:2]
    assert all(task_id in line for line in some.out.splitlines())
    assert len((await taskmill("events", "--task", task_id, "--type", "started", "-o", "json")).json) == 1


@pytest.mark.parametrize("arguments", [["watch", "--all"], ["events", "--follow"]])
async def test_everything_is_followed(taskmill: Command, arguments: list[str]) -> None:
    """Until Ctrl-C, which ends it quietly with 130."""
    label = f"follow={arguments[0]}"
    process = await taskmill.start(*arguments, "--label", label, "-o", "jsonl")
    assert process.stdout is not None
    reading = asyncio.ensure_future(process.stdout.readline())

    async def hears() -> None:
        await _submitted(taskmill, "echo", "-l", label)
        await asyncio.wait({reading}, timeout=1)
        assert reading.done()

    await holds(hears, within_seconds=30)
    assert json.loads(reading.result())["event"]["data"]["labels"] == {"follow": arguments[0]}
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, err) == (ExitCode.INTERRUPTED, b"")


async def test_a_reader_has_had_enough(taskmill: Command) -> None:
    """That is no error to talk about."""
    for _ in range(3):
        await _submitted(taskmill, "echo", "-l", "pipe=me")
    for command in ("list -n 0", "list -o jsonl", "list -o json", "events", "events --follow -o jsonl"):
        ran = await taskmill.shell(f"taskmill {command} | head -1; echo ${{PIPESTATUS[0]}}")
        line, status = ran.out.splitlines()
        assert line, ran
        assert (int(status) in {ExitCode.OK, ExitCode.BROKEN_PIPE}, ran.err) == (True, ""), command
    assert "\x1b" not in (await taskmill("list")).out


async def test_limits_and_shares(taskmill: Command) -> None:
    """They are set, listed and deleted; a task that one holds says so."""
    for wrong in (["--rate", "0/5"], []):
        assert (await taskmill("limit", "set", "cli-limit", *wrong)).status == ExitCode.USAGE, wrong
    made = await taskmill("limit", "set", "cli-limit", "--concurrency-key", "cli", "--max-in-progress", "0")
    assert made.status == 0, made
    task_id = await _submitted(taskmill, "echo", "--concurrency-key", "cli")
    assert "waits for limit cli-limit" in (await taskmill("get", task_id)).out
    assert "cli-limit" in (await taskmill("limit", "ls")).out
    assert (await taskmill("limit", "delete", "cli-limit")).status == 0
    shared = await taskmill("share", "set", "cli", "2.5", "-o", "json")
    assert (shared.status, shared.json["weight"]) == (0, 2.5), shared
    assert "2.5" in (await taskmill("share", "ls")).out
    assert (await taskmill("share", "delete", "cli")).status == 0


async def test_queues(taskmill: Command) -> None:
    """They are listed, shown, paused and resumed."""
    await _submitted(taskmill, "echo", "--queue", "cli-queue")
    listed = await taskmill("queue", "ls", "-o", "json")
    assert "cli-queue" in [queue["name"] for queue in listed.json]
    assert "cli-queue" in (await taskmill("queue", "ls")).out
    paused = await taskmill("queue", "pause", "cli-queue", "-o", "json")
    assert (paused.status, paused.json["is_paused"]) == (0, True), paused
    shown = await taskmill("queue", "show", "cli-queue")
    assert re.search(r"^state +paused$", shown.out, re.MULTILINE), shown
    assert (await taskmill("check", "--queue", "cli-queue")).status == 1
    resumed = await taskmill("queue", "resume", "cli-queue", "-o", "jsonl")
    assert resumed.json["is_paused"] is False
    for action in ("show", "resume"):
        ran = await taskmill("queue", action, "nowhere")
        assert (ran.status, ran.out) == (ExitCode.NOT_FOUND, ""), ran
    unserved = await taskmill("check", "--queue", "cli-queue")
    assert (unserved.status, unserved.out.startswith("CRITICAL: nobody serves queue cli-queue")) == (2, True), unserved


async def test_processors(taskmill: Command, stack: TaskmillUp) -> None:
    """They are listed, with what they serve."""
    processor, *others = (await taskmill("processor", "ls", "-o", "json")).json
    assert len(others) == stack.processors - 1
    assert "echo" in processor["kinds"]
    assert processor["id"] in (await taskmill("processor", "ls")).out


async def test_a_processor_is_drained(taskmill: Command) -> None:
    """It ends when it has nothing left; the stack starts it again, and it works as before."""

    async def processor() -> tuple[str, str]:
        found = (await taskmill("processor", "ls", "-o", "json")).json
        return next((one["id"], one["started_at"]) for one in found if one["id"] == "processor-1")

    processor_id, started_at = await processor()
    ran = await taskmill("processor", "drain", processor_id, "--wait")
    assert (ran.status, ran.out, ran.err) == (0, "", f"{processor_id} drains.\n"), ran

    async def is_replaced() -> None:
        assert (await processor())[1] > started_at

    await holds(is_replaced, within_seconds=30)
    assert (await taskmill("submit", "echo", "--wait")).status == 0
    nobody = await taskmill("processor", "drain", "nobody")
    assert (nobody.status, "processor_not_found" in nobody.err) == (ExitCode.NOT_FOUND, True), nobody


async def test_a_look_at_everything(taskmill: Command) -> None:
    """Once, when it goes to a pipe, whether that is said or not; also as JSON."""
    for arguments in (["--once"], []):
        ran = await taskmill("top", *arguments)
        assert ran.status == 0, ran
        assert ran.out.startswith("ok: NATS up")
        assert "default" in ran.out
    for output in ("json", "jsonl"):
        document = (await taskmill("top", "-o", output)).json
        assert document["health"]["status"] == "ok"
        assert document["queues"]
        assert document["processors"]


async def test_a_check(taskmill: Command, stack: TaskmillUp) -> None:
    """One line, and the code that monitors know."""
    ran = await taskmill("check", "-q", "default", "--max-age", "3600", "--max-depth", "1000")
    assert (ran.status, ran.err, len(ran.out.splitlines())) == (0, "", 1), ran
    told = rf"OK: .* \| queued=\d+ oldest_seconds=\S+ running=\d+ processors={stack.processors}\n"
    assert re.fullmatch(told, ran.out), ran
    document = await taskmill("check", "-q", "webhooks", "-o", "json")
    assert document.json["status"] == "ok"


async def test_a_check_of_nothing(taskmill: Command) -> None:
    """When nobody answers, that is critical, in one line."""
    ran = await taskmill("check", TASKMILL_URL=f"http://127.0.0.1:{free_port()}")
    assert (ran.status, len(ran.out.splitlines())) == (2, 1), ran
    assert ran.out.startswith("CRITICAL: no answer from http://127.0.0.1")


async def test_a_doctor(taskmill: Command) -> None:
    """Of a stack that is well, everything is looked at, and is well."""
    ran = await taskmill("doctor", "-o", "jsonl")
    remarks = {remark["what"]: remark["level"] for remark in ran.lines}
    wanted = (
        "gateway",
        "nats",
        "stream TASK_WORK",
        "stream TASK_EVENTS",
        "consumers",
        "schema",
        "clock",
        "disk",
        "ports",
    )
    assert {what: remarks.get(what) for what in wanted} == dict.fromkeys(wanted, "ok"), ran
    strict = await taskmill("doctor", "--prod", "-o", "json")
    assert strict.status == ExitCode.FAILED, strict
    open_things = {remark["what"] for remark in strict.json if remark["level"] == "fail"}
    assert {"auth", "nats users", "password"} <= open_things, strict
    table = await taskmill("doctor")
    assert "PostgreSQL 1" in table.out
    assert "\x1b" not in table.out


async def test_a_doctor_who_reaches_nothing(taskmill: Command) -> None:
    """What can be looked at is; what to do is said."""
    nowhere = replace(taskmill, variables={"TASKMILL_URL": f"http://127.0.0.1:{free_port()}"})
    ran = await nowhere("doctor", "-o", "json", TASKMILL_PORT=str(free_port()))
    assert ran.status == ExitCode.FAILED, ran
    levels = {remark["what"]: (remark["level"], remark["advice"]) for remark in ran.json}
    assert levels["gateway"][0] == "fail"
    assert "taskmill up" in levels["gateway"][1]
    assert levels["streams"][0] == levels["database"][0] == levels["disk"][0] == "skip"
    assert levels["ports"][0] == "ok"


@pytest.mark.parametrize("command", ["get", "logs", "watch", "process", "cancel", "delete"])
async def test_a_task_that_is_none(taskmill: Command, command: str) -> None:
    """Every command that is about a task ends alike."""
    ran = await taskmill(command, UNKNOWN_ID)
    assert (ran.status, ran.out) == (ExitCode.NOT_FOUND, ""), ran
    assert "task_not_found" in ran.err


async def test_nobody_is_there(taskmill: Command) -> None:
    """Where it was looked, what says so, and what to do."""
    url = f"http://127.0.0.1:{free_port()}"
    ran = await taskmill("get", UNKNOWN_ID, TASKMILL_URL=url)
    assert (ran.status, ran.out) == (ExitCode.UNREACHABLE, ""), ran
    assert f"no answer from {url} (TASKMILL_URL)" in ran.err
    assert "taskmill up" in ran.err
    assert (await taskmill("list", TASKMILL_URL="nonsense")).status == ExitCode.USAGE


async def test_contexts(taskmill: Command, stack: TaskmillUp) -> None:
    """They are added, used, listed, shown and removed; a key is never printed."""
    mine = replace(taskmill, variables={})
    assert (await mine("context", "ls")).err == "(none)\n"
    made = await taskmill("key", "create", "contexts", "--all", "-o", "json")
    assert made.status == 0, made
    secret = made.json["key"]
    added = await mine("context", "add", "here", stack.url, "--api-key", "-", "--use", stdin=f"{secret}\n")
    assert added.status == 0, added
    assert (await mine("context", "add", "away", "http://127.0.0.1:1", "--api-key", "other")).status == 0
    listed = await mine("context", "ls", "-o", "json")
    assert [(context["name"], context["in_use"], context["has_api_key"]) for context in listed.json] == [
        ("away", False, True),
        ("here", True, True),
    ]
    assert (await mine("queue", "ls")).status == 0
    assert (await mine("queue", "ls", "--context", "away")).status == ExitCode.UNREACHABLE
    assert (await mine("queue", "ls", TASKMILL_CONTEXT="away")).status == ExitCode.UNREACHABLE
    assert (await mine("queue", "ls", TASKMILL_CONTEXT="away", TASKMILL_URL=stack.url)).status == 0
    assert (await mine("queue", "ls", "--context", "nope")).status == ExitCode.NOT_FOUND
    shown = await mine("context", "show", "-o", "json")
    assert shown.json == {"url": stack.url, "has_api_key": True, "origin": "context here"}
    beaten = await mine("context", "use", "away", TASKMILL_URL=stack.url)
    assert "TASKMILL_URL beats it" in beaten.err
    assert (await mine("context", "rm", "away")).status == 0
    assert (await mine("context", "rm", "away")).status == ExitCode.NOT_FOUND
    assert (await mine("context", "show")).out.split()[-1] == "default"
    completed = await mine(_TASKMILL_COMPLETE="complete_bash", COMP_WORDS="taskmill list --context h", COMP_CWORD="3")
    assert completed.out.split() == ["here"]
    for ran in (added, listed, await mine("context", "ls"), shown):
        assert secret not in ran.out + ran.err


async def test_specifications(taskmill: Command) -> None:
    """Both are printed without a server; the gateway's is the one that it serves."""
    ran = await taskmill("spec", "openapi", TASKMILL_URL="http://127.0.0.1:1")
    assert ran.json["openapi"].startswith("3.")
    assert {"/tasks", "/queues", "/processors"} <= ran.json["paths"].keys()
    assert (await taskmill("spec", "asyncapi")).json["asyncapi"] == "3.0.0"


async def test_the_version(taskmill: Command) -> None:
    """It is told; without a command there is help, and 2."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", (await taskmill("--version")).out)
    ran = await taskmill()
    assert (ran.status, "Usage: taskmill" in ran.out + ran.err) == (ExitCode.USAGE, True), ran


@pytest.mark.parametrize(("words", "wanted"), [("taskmill que", "queue"), ("taskmill queue pa", "pause")])
async def test_completion(taskmill: Command, words: str, wanted: str) -> None:
    """A shell is told how words may go on."""
    ran = await taskmill(_TASKMILL_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert wanted in ran.out.split(), ran


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["submit", "sleep", "-d", '{"seconds": 3, "steps": 10}', "--wait"], "step 1"),
        (["submit", "sleep", "-d", '{"seconds": 3, "steps": 10}', "--follow"], "step 1"),
        (["top"], "PROCESSORS"),
    ],
)
async def test_a_terminal(taskmill: Command, arguments: list[str], shown: str) -> None:
    """What is live appears there, and Ctrl-C ends it with 130."""
    async with taskmill.on_a_terminal(*arguments) as terminal:
        await holds(lambda: _check_shows(terminal, shown), within_seconds=30)
        assert "\x1b[" in terminal.shown
        terminal.press_interrupt()
        assert await terminal.wait() == ExitCode.INTERRUPTED, terminal.shown
        assert "Traceback" not in terminal.shown


async def test_nobody_answers_for_a_while(taskmill: Command, stack: TaskmillUp) -> None:
    """Who looks on is told so, and sees everything again when somebody does."""
    async with taskmill.on_a_terminal("top", "--interval", "0.2") as terminal:
        await holds(lambda: _check_shows(terminal, "PROCESSORS"), within_seconds=30)
        await stack.end()
        await holds(lambda: _check_shows(terminal, "Looking again"), within_seconds=30)
        told = len(terminal.shown)
        await stack.start()
        await holds(lambda: _check_shows(terminal, "PROCESSORS", behind=told), within_seconds=30)
        terminal.press_interrupt()
        assert await terminal.wait() == ExitCode.INTERRUPTED, terminal.shown


def _check_shows(terminal: Terminal, text: str, *, behind: int = 0) -> None:
    assert text in terminal.shown[behind:], terminal.shown
