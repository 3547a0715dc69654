"""An update under load: a task store of the commit before the newest migration, and one of this one."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.task_store.migrations import Steps, newest_revision
from taskmill.task_store.migrations.steps import migrate
from tests.support.databases import new_database
from tests.support.earlier_code import environment_before_newest_migration
from tests.support.eventually import holds
from tests.support.running_service import running_service
from tests.support.services import running_gateway
from tests.support.store_processes import connected_stores, serving_store
from tests.support.task_store import run_sql

CLIENTS = 8
TASKS_OF_EACH_STAGE = 50


class Load:
    """Clients that create tasks, one after another, and never stop for anything but an answer that is no 201."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.created: list[str] = []
        self.is_over = asyncio.Event()

    async def run(self) -> None:
        """Create until it is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._create())

    async def _create(self) -> None:
        while not self.is_over.is_set():
            body = {"title": "t", "kind": "echo", "payload": len(self.created), "process": True}
            answer = await self._client.post("/tasks", json=body)
            # A store that is drained while it is asked: the client asks again, as it always may.
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                continue
            assert answer.status_code == httpx.codes.CREATED, answer.text
            self.created.append(answer.json()["id"])

    async def goes_on(self, url: str) -> None:
        """Return when many more tasks have been created and completed than now."""
        before = await completed(url)
        wanted = len(self.created) + TASKS_OF_EACH_STAGE

        async def check() -> None:
            assert len(self.created) >= wanted
            assert await completed(url) >= before + TASKS_OF_EACH_STAGE

        await holds(check, within_seconds=30)


async def completed(url: str) -> int:
    """How many tasks are completed."""
    [row] = await run_sql(url, "SELECT count(*) FROM tasks WHERE status = 'completed'")
    return int(row["count"])


async def run_to_the_end(environment: Mapping[str, str], *arguments: str) -> str:
    """Run Python; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=dict(environment), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()


async def test_old_and_new_stores_work_side_by_side(postgres_url: str, nats_url: str, tmp_path: Path) -> None:
    """Tasks complete all along while the schema is changed, a new store comes, and the old one goes; none is lost."""
    earlier = await environment_before_newest_migration(tmp_path)
    where = await run_to_the_end(earlier, "-c", "import taskmill.task_store as code; print(code.__file__)")
    assert where.startswith(str(tmp_path))
    async with new_database(postgres_url) as url:
        await run_to_the_end({**earlier, "TASKMILL_DATABASE_URL": url}, "-m", "taskmill.task_store", "migrate")
        async with (
            serving_store(earlier, url, nats_url) as old_store,
            running_service(build_processor(ProcessorSettings(nats_url=nats_url), ())),
            running_gateway(nats_url) as client,
            asyncio.TaskGroup() as group,
        ):
            load = Load(client)
            group.create_task(load.run())
            await load.goes_on(url)
            await asyncio.to_thread(migrate, url)
            await load.goes_on(url)
            async with serving_store(os.environ, url, nats_url):
                await load.goes_on(url)
                assert len(await connected_stores(url)) == 2
                old_store.send_signal(signal.SIGTERM)
                assert await old_store.wait() == 0
                await load.goes_on(url)
                await asyncio.to_thread(migrate, url, Steps.POST)
                await load.goes_on(url)
                load.is_over.set()
                [row] = await run_sql(url, "SELECT version_num FROM alembic_version")
                assert row["version_num"] == newest_revision()

                async def check_all_completed() -> None:
                    rows = await run_sql(url, "SELECT id::text, status FROM tasks")
                    assert {row["status"] for row in rows} == {"completed"}
                    # One that was answered with 503 may have been made all the same.
                    assert {row["id"] for row in rows} >= set(load.created)

                await holds(check_all_completed, within_seconds=30)
