"""Programs are run as handlers, whatever they do."""

import asyncio
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from taskmill.contracts.limits import MAX_RESULT_BYTES
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import LineLevel
from taskmill.sdk import Retry, TaskApp
from taskmill.sdk.program import Program, handler
from taskmill.sdk.program.log_allowance import LOGGED_CHARS
from taskmill.sdk.testing import TaskOutcome, run_task
from tests.support.eventually import eventually
from tests.support.pages import blocks
from tests.support.processes import is_alive

ENDLESS = "while :; do read -r _ </dev/zero; done"


async def run(script: str, payload: object = None, **options: Any) -> TaskOutcome:
    """Run a script of the shell as the handler of a task."""
    app = TaskApp("programs")
    program = Program(["/bin/sh", "-c", script])
    app.task("script", retry=Retry(base=8))(program)
    return await run_task(program, payload, **{"attempts": 1, **options})


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def pid_in(file: Path) -> int:
    """Wait until a script has written a pid."""

    def pid() -> int | None:
        text = file.read_text() if file.exists() else ""
        return int(text) if text.endswith("\n") else None

    return await eventually(pid) or 0


async def test_a_program_does_the_work() -> None:
    """It gets the payload on stdin, and its output is the result; what it says on stderr is told."""
    outcome = await run(
        "echo 'taskmill: progress 0.5 half way' >&2; echo 'taskmill: log warning low on ink' >&2; echo plain >&2; cat",
        {"width": 80, "name": "ü"},
    )
    assert outcome.result == {"width": 80, "name": "ü"}
    assert [(it.fraction, it.message) for it in outcome.progress] == [(0.5, "half way")]
    assert [(it.level, it.text) for it in outcome.lines] == [
        (LineLevel.WARNING, "low on ink"),
        (LineLevel.INFO, "plain"),
    ]


async def test_what_it_finds_in_its_environment() -> None:
    """Which task it is for, which attempt, and how long it may take, beside what the processor has."""
    outcome = await run(
        'echo "$TASKMILL_KIND $TASKMILL_QUEUE $TASKMILL_RUN $TASKMILL_ATTEMPT $TASKMILL_ATTEMPT_LIMIT" '
        '"$TASKMILL_IDEMPOTENCY_TOKEN $TASKMILL_TASK_ID"; test -n "$PATH" && test -n "$TASKMILL_DEADLINE"',
        run=2,
        timeout=60,
    )
    assert isinstance(outcome.result, str)
    *words, token, task_id = outcome.result.split()
    assert (words, token) == (["script", "default", "2", "2", "2"], f"{task_id}:2")


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ("", None),
        ("\n", None),
        ("null", None),
        (' {"a": [1]}\n', {"a": [1]}),
        ("12\n", 12),
        ("two words\nand more\n\n", "two words\nand more"),
        ("NaN", "NaN"),
        ("{", "{"),
    ],
)
async def test_what_it_prints_is_the_result(output: str, result: object) -> None:
    """JSON is what it says; anything else is text, without the line breaks at its end."""
    assert (await run(f"printf %s {shlex.quote(output)}")).result == result


@pytest.mark.parametrize(
    "script",
    ["printf '\\377'", f"head -c {MAX_RESULT_BYTES + 1} /dev/zero | tr '\\0' x", "yes", "printf 'a\\000b'"]
    + [f"printf '{text}'" for text in ("[" * 300 + "]" * 300, '"\\\\ud800"', "1" * 5_000)],
    ids=["binary", "large", "endless", "nul", "deep", "surrogate", "digits"],
)
async def test_what_cannot_be_kept_fails_for_good(script: str) -> None:
    """And a program that goes on and on is ended."""
    outcome = await run(script, attempts=3)
    assert outcome.error is not None
    assert (outcome.error.code, len(outcome.attempts)) == ("bad_result", 1)


@pytest.mark.parametrize(
    ("script", "code", "message", "waits"),
    [
        ("exit 3", "program_failed", "The program ended with exit status 3.", [8, None]),
        ("echo oh >&2; exit 1", "program_failed", "The program ended with exit status 1. It said: oh", [8, None]),
        ("kill -KILL $$", "program_failed", "The program ended with signal 9.", [8, None]),
        ("exit 65", "gave_up", "The program ended with exit status 65.", [None]),
        ("echo no such size >&2; exit 65", "gave_up", "no such size", [None]),
        ("echo busy >&2; exit 75", "retry_later", "busy", [8, None]),
        (
            "echo taskmill: retry-after 30 >&2; exit 75",
            "retry_later",
            "The program ended with exit status 75.",
            [30, None],
        ),
        (
            "echo taskmill: retry-after 30 >&2; exit 1",
            "program_failed",
            "The program ended with exit status 1.",
            [8, None],
        ),
    ],
)
async def test_its_exit_status_says_what_then(script: str, code: str, message: str, waits: list[float | None]) -> None:
    """Another attempt, none, or one at a time of its choice; its last line says why."""
    outcome = await run(script, attempts=2)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.error.message) == (TaskStatus.FAILED, code, message)
    assert [it.wait_seconds for it in outcome.attempts] == waits


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["./no-such-program"], "No such file or directory"),
        (["/"], "Permission denied"),
    ],
)
async def test_a_program_that_cannot_be_started(command: list[str], reason: str) -> None:
    """Fails the attempt; another processor may have it."""
    app, before = TaskApp("programs"), open_files()
    program = Program(command)
    app.task("none")(program)
    outcome = await run_task(program, attempts=2)
    assert outcome.error is not None
    assert (outcome.error.code, len(outcome.attempts)) == ("program_not_started", 2)
    assert outcome.error.message == f"The program cannot be started: {reason}."
    assert open_files() == before


@pytest.mark.parametrize("script", [":", "exec <&-; echo 1", "read -r _; exec <&-; echo 1", "sleep 0.1; exec cat"])
async def test_whether_it_reads_is_its_own_business(script: str) -> None:
    """A payload larger than a pipe holds it up as little as an output that nobody wants."""
    assert (await run(script, "x" * 200_000)).status is TaskStatus.COMPLETED


async def test_it_may_close_what_it_writes_to() -> None:
    """It runs until it ends, not until it is silent."""
    began_at = time.monotonic()
    assert (await run("echo 1; exec >&- 2>&-; sleep 0.3")).result == 1
    assert time.monotonic() - began_at > 0.3


async def test_a_flood_of_lines_holds_nobody_up() -> None:
    """The last line is heard, and the event loop turns meanwhile."""
    longest_turn = last = 0.0

    async def watch() -> None:
        nonlocal longest_turn, last
        last = time.monotonic()
        while True:
            await asyncio.sleep(0)
            now = time.monotonic()
            longest_turn, last = max(longest_turn, now - last), now

    watching = asyncio.create_task(watch())
    outcome = await run("yes | head -n 20000 >&2; printf 'the end' >&2")
    watching.cancel()
    assert (len(outcome.lines), outcome.lines[-1].text) == (20_001, "the end")
    assert longest_turn < 2


async def test_what_was_written_is_heard_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line may be why it failed. Only what is written later, by what it left running, is not waited for."""
    monkeypatch.setattr(handler, "LEFT_BEHIND_SECONDS", 0)
    outcome = await run("yes | head -n 30000 >&2; printf 'the end' >&2; exit 3")
    assert (len(outcome.lines), outcome.lines[-1].text) == (30_001, "the end")
    assert "the end" in str(outcome.error)
    outcome = await run("(sleep 100; echo late >&2) & echo early >&2; printf 5; exit 0")
    assert ([line.text for line in outcome.lines], outcome.result) == (["early"], 5)


async def test_a_long_line_is_cut() -> None:
    """As any line of a task is."""
    [line] = (await run("head -c 1000000 /dev/zero | tr '\\0' x >&2")).lines
    assert line.text == "x" * 999 + "…"


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_it_is_ended_with_all_that_it_started(tmp_path: Path, is_cancelled: bool) -> None:
    """Politely, when its task is cancelled and when its time is over: it may say a last word."""
    cancel, file = asyncio.Event(), tmp_path / "pid"
    script = f"trap 'echo bye >&2; exit 0' TERM; sleep 100 & echo $! >{file}; wait"
    running = asyncio.create_task(run(script, timeout=None if is_cancelled else 0.5, cancel=cancel))
    child = await pid_in(file)
    if is_cancelled:
        cancel.set()
    outcome = await asyncio.wait_for(running, 5)
    assert outcome.status is (TaskStatus.CANCELLED if is_cancelled else TaskStatus.FAILED)
    assert [line.text for line in outcome.lines] == ["bye"]
    await eventually(lambda: not is_alive(child))


async def test_a_deaf_program_is_killed(tmp_path: Path) -> None:
    """With its children, which are as deaf."""
    cancel, file = asyncio.Event(), tmp_path / "pid"
    script = f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >{file}; {ENDLESS}'; {ENDLESS}"
    running = asyncio.create_task(run(script, cancel=cancel))
    child = await pid_in(file)
    cancel.set()
    assert (await asyncio.wait_for(running, 5)).status is TaskStatus.CANCELLED
    await eventually(lambda: not is_alive(child))


async def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    """Though that holds stdout open: what was printed until then is the result."""
    file, began_at = tmp_path / "pid", time.monotonic()
    outcome = await run(f"echo 1; sleep 100 & echo $! >{file}")
    assert (outcome.result, time.monotonic() - began_at < 5) == (1, True)
    child = int(file.read_text())
    await eventually(lambda: not is_alive(child))


async def test_what_has_left_its_group_holds_nobody_up(tmp_path: Path) -> None:
    """It lives on; the program has ended all the same."""
    file, before = tmp_path / "pid", open_files()
    escape = f"import os, time; os.setsid(); open({str(file)!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(100)"
    script = f"{shlex.join([sys.executable, '-c', escape])} & while ! test -s {file}; do :; done; echo 1"
    outcome = await asyncio.wait_for(run(script), 10)
    assert outcome.result == 1
    escaped = await pid_in(file)
    assert is_alive(escaped)
    os.kill(escaped, 9)
    assert open_files() == before


async def test_output_of_what_it_left_behind_is_waited_for_a_moment() -> None:
    """As of a `tee` that is behind its shell."""
    assert (await run("(sleep 0.2; echo 2) & echo 1")).result == "1\n2"


@pytest.mark.parametrize("how", [asyncio.Task.cancel, None], ids=["stopped", "to its end"])
async def test_nothing_is_left_open(how: Callable[[asyncio.Task[Any]], bool] | None) -> None:
    """Neither files nor processes, however often it is run."""
    before = open_files()
    for _ in range(5):
        running = asyncio.create_task(run("echo 1; sleep 0.05"))
        if how is not None:
            await asyncio.sleep(0)
            how(running)
        await asyncio.wait({running})
    await eventually(lambda: open_files() == before)


async def test_a_flood_of_lines_is_bounded_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """The task gets each line; the log of the process gets some, and then one that tells how many were left out."""
    outcome = await run(
        "i=0; while [ $i -lt 3000 ]; do echo 'a line of a program that says too much' >&2; i=$((i+1)); done"
    )
    log = capfd.readouterr().out
    logged = log.count("a line of a program")
    left_out = re.findall(r"program.lines_left_out.* chars=.*?(\d+).* lines=.*?(\d+)", re.sub(r"\x1b\[\d+m", "", log))
    assert len(outcome.lines) == 3_000
    assert [(int(chars), int(lines)) for chars, lines in left_out] == [((3_000 - logged) * 38, 3_000 - logged)]
    assert logged == LOGGED_CHARS // 38


async def test_the_script_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/handlers.md shows does what it says, with programs that stand for those that it calls."""
    [script] = [block for block in blocks("docs/handlers.md", "sh") if "thumb.sh" in block]
    read_file = "import json, sys; print(json.load(sys.stdin)['file'])"
    programs = {
        "jq": f"#!/bin/sh\nexec {sys.executable} -c {shlex.quote(read_file)}\n",
        "convert": '#!/bin/sh\ncp "$1" "$4"\n',
        "thumb.sh": script.replace("/thumbs/", f"{tmp_path}/"),
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    picture = tmp_path / "a.png"
    picture.write_text("a picture")
    program = Program([str(tmp_path / "thumb.sh"), "--small"])
    TaskApp("programs").task("thumb", timeout=60)(program)
    task_id = uuid4()
    outcome = await run_task(program, {"file": str(picture)}, task_id=task_id)
    thumb = tmp_path / f"{task_id}.png"
    assert outcome.result == {"thumb": str(thumb)}
    assert thumb.read_text() == "a picture"
    assert [it.message for it in outcome.progress] == ["half way"]
    missing = await run_task(program, {"file": "none.png"})
    assert missing.error is not None
    assert missing.error.code == "retry_later"
