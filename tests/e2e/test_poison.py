"""A task that kills its processor, beside other tasks and in the middle of a rollout: nobody else fails for it."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from benchmarks.machine import server_directory
from tests.support.eventually import eventually, holds
from tests.support.stack import TaskmillUp

PROCESSORS = 4
RESTARTS = 10
INNOCENTS = 50
# All at work when the poison comes. They take so long that they meet it again when both are delivered again.
FIRST_WAVE = [1.5 + 0.05 * number for number in range(30)]
# Before each restart. A processor that is told to stop waits for 2 s: it finishes the one, and gives back the other.
NEXT_WAVE = [0.8, 3.0]
# How processes end, as `taskmill up` tells it.
STOPPED = "ended with status 0"
KILLED = "was ended by SIGKILL"

HANDLERS = """
import asyncio
import os
import signal

from taskmill.sdk import TaskApp

app = TaskApp("poisoned")


def note(what, ctx):
    with open(os.environ["EXECUTIONS"], "a") as file:
        file.write(f"{what} {os.getpid()} {ctx.task_id}\\n")


@app.task("innocent")
async def innocent(payload, ctx):
    note("begin", ctx)
    await asyncio.sleep(payload)
    note("end", ctx)


@app.task("poison")
async def poison(payload, ctx):
    # So long that what is begun beside it is told to have started, and is charged for the crash.
    await asyncio.sleep(0.3)
    note("kill", ctx)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Executions:
    """What handlers did, by process: a processor has another pid after each restart.

    Attributes:
        path: Where they write it down.
    """

    path: Path

    def of(self, what: str) -> list[tuple[int, str]]:
        """All that began, came to their end, or killed, as (pid, task id)."""
        lines = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(int(pid), task_id) for done, pid, task_id in lines if done == what]

    def pids_at_work(self) -> set[int]:
        """The processes that have begun what they have not brought to its end. They may be dead."""
        return {pid for pid, _ in Counter(self.of("begin")) - Counter(self.of("end"))}


@dataclass(frozen=True)
class Rollout:
    """A stack whose processors are restarted, one after the other."""

    stack: TaskmillUp
    client: httpx.AsyncClient
    executions: Executions

    async def post(self, kind: str, payloads: Sequence[float | None]) -> None:
        """Post tasks of a kind, which are begun in this order."""
        tasks = [{"title": kind, "kind": kind, "payload": payload, "process": True} for payload in payloads]
        answer = await self.client.post("/tasks/batch", json={"tasks": tasks})
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def tasks(self, *kinds: str) -> list[dict[str, Any]]:
        """All tasks of some kinds."""
        items = (await self.client.get("/tasks", params={"limit": 200})).json()["items"]
        return [task for task in items if task["kind"] in kinds]

    async def check_ended(self) -> None:
        """Assert that no task waits or is in progress."""
        assert [task for task in await self.tasks("innocent", "poison") if task["is_run_active"]] == []

    async def check_started(self) -> None:
        """Assert that all innocents are told to have started."""
        assert [task for task in await self.tasks("innocent") if task["status"] == "queued"] == []

    async def events(self, task: dict[str, Any]) -> Counter[str]:
        """How often what happened to a task: of what was queued, why."""
        events = (await self.client.get(f"/tasks/{task['id']}/events", params={"limit": 200})).json()["items"]
        return Counter(event["data"].get("reason") or event["type"].split(".")[2] for event in events)

    async def crashes(self) -> dict[str, int]:
        """How many crashes each task was charged for."""
        connection = await asyncpg.connect(self.stack.entries()["postgres"]["url"])
        try:
            return {str(row["id"]): row["crashes"] for row in await connection.fetch("SELECT id, crashes FROM tasks")}
        finally:
            await connection.close()

    def well(self) -> dict[str, int]:
        """The processors that serve, with their pids."""
        entries = self.stack.entries().items()
        return {name: entry["pid"] for name, entry in entries if self._health_file(name).exists()}

    def ends(self, how: str = "") -> int:
        """How often any process has ended, or has ended in one way."""
        return sum(f"{how}; starting it again in" in line for line in self.stack.output)

    async def restart_one(self, rota: list[str]) -> None:
        """Restart a processor that is at work, and wait until it serves again.

        Args:
            rota: The names of all processors; who was restarted goes to its end.
        """

        def next_at_work() -> tuple[str, int] | None:
            well, at_work = self.well(), self.executions.pids_at_work()
            return next(((name, well[name]) for name in rota if well.get(name) in at_work), None)

        found = await eventually(next_at_work, within_seconds=30)
        assert found is not None
        name, pid = found
        # Poison may have been quicker.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        await eventually(lambda: self.well().get(name, pid) != pid, within_seconds=30)
        rota.remove(name)
        rota.append(name)

    def _health_file(self, name: str) -> Path:
        return self.stack.data_dir / "run" / f"{name}.health"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with the handlers."""
    with server_directory() as path:
        (path / "poisoned.py").write_text(HANDLERS)
        yield path


@asynccontextmanager
async def running_rollout(directory: Path) -> AsyncIterator[Rollout]:
    """Yield a stack with the handlers, started; it is stopped in the end."""
    executions = Executions(directory / "executions")
    environment = {
        "TASKMILL_APPS": "poisoned:app",
        "PYTHONPATH": str(directory),
        "EXECUTIONS": str(executions.path),
        # So soon what a processor had in hand when it was killed is delivered again.
        "TASKMILL_WORK_ACK_WAIT_SECONDS": "4",
    }
    stack = TaskmillUp(directory / "data", processors=PROCESSORS, environment=environment)
    try:
        await stack.start()
        async with httpx.AsyncClient(base_url=stack.url, timeout=30, trust_env=False) as client:
            yield Rollout(stack, client, executions)
    finally:
        await stack.end()


@pytest.mark.timeout(180)
async def test_poison_beside_innocents_in_a_rollout_fails_alone(directory: Path) -> None:
    """Of 50 tasks beside one that kills its processor, each completes at its first attempt, through ten restarts."""
    async with running_rollout(directory) as rollout:
        executions = rollout.executions
        rota = sorted(name for name in rollout.well() if name.startswith("processor"))
        assert len(rota) == PROCESSORS
        await rollout.post("innocent", FIRST_WAVE)
        await holds(rollout.check_started)
        await rollout.post("poison", [None])
        await eventually(lambda: executions.of("kill"), within_seconds=30)
        restarts_beside_poison = 0
        # A processor that poison kills while it stops was not restarted as it should be.
        while rollout.ends(STOPPED) < RESTARTS:
            [poison] = await rollout.tasks("poison")
            restarts_beside_poison += poison["is_run_active"]
            await rollout.post("innocent", NEXT_WAVE)
            await rollout.restart_one(rota)
        await holds(rollout.check_ended, within_seconds=60)

        [poison] = await rollout.tasks("poison")
        assert (poison["status"], poison["error"]["code"]) == ("failed", "crash_loop")
        innocents = await rollout.tasks("innocent")
        assert len(innocents) >= INNOCENTS
        assert {(task["status"], task["run"], task["attempt"]) for task in innocents} == {("completed", 1, 1)}

        # It was as bad as it was meant to be, and nobody else ended.
        await eventually(lambda: rollout.ends(KILLED) == len(executions.of("kill")))
        assert (rollout.ends(STOPPED), rollout.ends()) == (RESTARTS, RESTARTS + rollout.ends(KILLED))
        assert restarts_beside_poison >= 2
        killed = {pid for pid, _ in executions.of("kill")}

        # Each start of the poison that was told of is charged for its crash, whoever has it in hand next.
        assert (await rollout.events(poison))["started"] == 3
        # A crash beside it is charged, and the next may be; no innocent is begun beside it for the third time.
        crashes = await rollout.crashes()
        assert {1, 2} & {crashes[task["id"]] for task in innocents}
        for task in innocents:
            assert crashes[task["id"]] <= 2
            # Who was told to stop has brought to its end what it had begun, or given it back.
            stopped = [pid for pid, task_id in executions.of("begin") if task_id == task["id"] and pid not in killed]
            assert len(stopped) <= 1 + (await rollout.events(task))["given_back"], task
