"""`taskmill migrate`, on a real PostgreSQL."""

from pathlib import Path

from taskmill.cli.exit_codes import ExitCode
from taskmill.task_store.migrations import newest_revision
from tests.support.cli import Command
from tests.support.databases import new_database


async def test_a_schema_goes_up_and_down(postgres_url: str, tmp_path: Path) -> None:
    """To the newest, back to an older one, and to nothing; how far it is can be asked."""
    newest = newest_revision()
    async with new_database(postgres_url) as url:
        taskmill = Command(tmp_path, {"TASKMILL_DATABASE_URL": url})
        empty = await taskmill("migrate", "status", "-o", "json")
        assert (empty.status, empty.json["revision"]) == (ExitCode.FAILED, None), empty
        up = await taskmill("migrate", "up")
        assert (up.status, up.out, up.err) == (0, "", f"The schema is at {newest}.\n"), up
        assert (await taskmill("migrate", "up")).status == 0
        current = await taskmill("migrate", "status", "-o", "json")
        assert (current.status, current.json) == (0, {"revision": newest, "newest": newest, "is_current": True})
        assert (await taskmill("migrate", "up", "--steps", "post")).status == 0
        restored = await taskmill("migrate", "restored", "--yes")
        assert (restored.status, "The log goes on behind position" in restored.err) == (0, True), restored
        refused = await taskmill("migrate", "down", "--to", "0005", stdin="n\n")
        assert (refused.status, "Go on?" in refused.err) == (ExitCode.FAILED, True), refused
        assert (await taskmill("migrate", "down", "--to", "0005", "--yes")).err == "The schema is at 0005.\n"
        old = await taskmill("migrate", "status")
        assert (old.status, "taskmill migrate up" in old.out) == (ExitCode.FAILED, True), old
        assert (await taskmill("migrate", "up", "--to", "nope")).status == ExitCode.USAGE
        asked = await taskmill("migrate", "down", "--to", "base", stdin="y\n")
        assert (asked.status, "ALL TASKS" in asked.err) == (0, True), asked


async def test_there_is_no_database(postgres_url: str, tmp_path: Path) -> None:
    """What has to be set, and right, is named; a password is not."""
    taskmill = Command(tmp_path, {})
    ran = await taskmill("migrate", "up")
    assert (ran.status, "TASKMILL_DATABASE_URL is not set" in ran.err) == (ExitCode.USAGE, True), ran
    for url in ("postgresql://u:hidden@127.0.0.1:1/x", f"{postgres_url.rpartition('/')[0]}/nowhere"):
        ran = await taskmill("migrate", "status", TASKMILL_DATABASE_URL=url)
        assert (ran.status, "TASKMILL_DATABASE_URL" in ran.err) == (ExitCode.UNREACHABLE, True), ran
        assert "hidden" not in ran.err
    ran = await taskmill("migrate", "status", TASKMILL_DATABASE_URL="mysql://x")
    assert (ran.status, "TASKMILL_DATABASE_URL" in ran.err) == (ExitCode.USAGE, True), ran
