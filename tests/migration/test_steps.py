"""An update in two steps: what only adds comes before the new task stores, what takes away after the old ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from taskmill.task_store.errors import ContractingStepMissingError, ExpandingStepMissingError, OldStoresError
from taskmill.task_store.migrations import VERSIONS, Steps, needed_revision, newest_revision, revisions
from taskmill.task_store.migrations.steps import _config, migrate
from tests.support.databases import new_database

REVISION = """
from alembic import op

revision = "{name}"
down_revision = {before!r}
branch_labels = depends_on = None
phase = "{phase}"


def upgrade() -> None:
    op.execute("CREATE TABLE step_{name} ()")
"""


def written_steps(folder: Path, **phases: str) -> Sequence[Path]:
    """Write revisions that follow the newest, `s1="pre"` and so on; return where all revisions are."""
    before = newest_revision()
    for number, (suffix, phase) in enumerate(phases.items(), 1):
        name = f"9{number:03}{suffix}"
        (folder / f"{name}.py").write_text(REVISION.format(name=name, before=before, phase=phase))
        before = name
    return VERSIONS, folder


async def steps_taken(url: str) -> list[str]:
    """The steps of a test that were taken, by their suffixes."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'step_%' ORDER BY relname")
    finally:
        await connection.close()
    return [row["relname"].removeprefix("step_9")[3:] for row in rows]


@asynccontextmanager
async def connected_store(url: str, needed: str) -> AsyncIterator[None]:
    """A session as each task store has one."""
    name = f"taskmill lease {needed}".strip()
    connection = await asyncpg.connect(url, server_settings={"application_name": name})
    try:
        yield
    finally:
        await connection.close()


async def run(url: str, steps: Steps, versions: Sequence[Path]) -> list[str]:
    """Migrate; return the steps that are taken by now."""
    await asyncio.to_thread(migrate, url, steps, versions=versions)
    return await steps_taken(url)


async def test_an_update_is_made_in_two_steps(database_url: str, tmp_path: Path) -> None:
    """What takes away waits until it is asked for, and is not taken before what adds."""
    versions = written_steps(tmp_path, a="pre", b="pre", c="post", d="post")
    with pytest.raises(ExpandingStepMissingError, match="9001a first"):
        await run(database_url, Steps.POST, versions)
    assert await run(database_url, Steps.PRE, versions) == ["a", "b"]
    assert await run(database_url, Steps.PRE, versions) == ["a", "b"]
    assert await run(database_url, Steps.POST, versions) == ["a", "b", "c", "d"]
    assert await run(database_url, Steps.POST, versions) == ["a", "b", "c", "d"]


async def test_an_update_that_was_not_finished_is_finished_first(database_url: str, tmp_path: Path) -> None:
    """What adds behind a step that takes away has to wait; what comes before it is taken."""
    versions = written_steps(tmp_path, a="pre", b="post", c="pre", d="post")
    with pytest.raises(ContractingStepMissingError, match=r"9002b.* before 9003c.*--steps post"):
        await run(database_url, Steps.PRE, versions)
    assert await steps_taken(database_url) == ["a"]
    assert await run(database_url, Steps.POST, versions) == ["a", "b"]
    assert await run(database_url, Steps.PRE, versions) == ["a", "b", "c"]


async def test_nothing_is_taken_away_from_stores_that_run(database_url: str, tmp_path: Path) -> None:
    """As long as a store is connected that needs an older schema; those of the new release do no harm."""
    versions = written_steps(tmp_path, a="pre", b="post")
    await run(database_url, Steps.PRE, versions)
    async with connected_store(database_url, "9001a"):
        async with connected_store(database_url, needed_revision()), connected_store(database_url, ""):
            for steps in (Steps.POST, Steps.ALL):
                with pytest.raises(OldStoresError, match="2 connected"):
                    await run(database_url, steps, versions)
        assert await run(database_url, Steps.POST, versions) == ["a", "b"]


async def test_where_no_store_runs_all_is_done_at_once(postgres_url: str, tmp_path: Path) -> None:
    """And an empty database needs no steps."""
    versions = written_steps(tmp_path, a="pre", b="post", c="pre", d="post")
    async with new_database(postgres_url) as url:
        assert await run(url, Steps.PRE, versions) == ["a", "b", "c", "d"]
    async with new_database(postgres_url) as url:
        await asyncio.to_thread(migrate, url)
        assert await run(url, Steps.ALL, versions) == ["a", "b", "c", "d"]


def test_revisions_are_what_their_files_say(tmp_path: Path) -> None:
    """A store reads off the files, without Alembic, what Alembic would run, in which order and when."""
    assert needed_revision() <= newest_revision()
    versions = written_steps(tmp_path, a="pre", b="post")
    scripts = reversed(list(ScriptDirectory.from_config(_config("", versions)).walk_revisions()))
    assert revisions(versions) == [(script.revision, getattr(script.module, "phase", "pre")) for script in scripts]
