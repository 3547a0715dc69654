"""A look at PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

from taskmill.cli.database import DatabaseState, look_at_database
from taskmill.cli.database_errors import DatabaseAwayError
from taskmill.cli.diagnosis.remark import Remark, fail, ok, skip, warn
from taskmill.task_store.migrations import needed_revision, newest_revision

CLOCK_TOLERANCE = timedelta(seconds=1)


def look_at_postgresql(url: str | None) -> Iterator[Remark]:
    """Look at PostgreSQL.

    Args:
        url: Where it is; None: nobody has said.
    """
    if url is None:
        yield skip("database", "nobody says where it is", "Set TASKMILL_DATABASE_URL to have it looked at")
        return
    try:
        state = look_at_database(url)
    except DatabaseAwayError as error:
        yield fail("database", str(error), "Start PostgreSQL, or set TASKMILL_DATABASE_URL")
        return
    yield ok("database", f"PostgreSQL {state.server_version}")
    yield judge_schema(state.revision, needed_revision(), newest_revision())
    yield judge_clock(state)


def judge_schema(revision: str | None, needed: str, newest: str) -> Remark:
    """Say whether the schema is the one of this version."""
    if revision is not None and needed <= revision < newest:
        what = f"at {revision}; what older task stores use is still there, up to {newest}"
        return warn("schema", what, "When they are gone: taskmill migrate up --steps post")
    if revision == newest:
        return ok("schema", f"at {revision}, the newest")
    if revision is not None and revision > newest:
        return warn("schema", f"at {revision}, newer than this version knows ({newest})", "Update this version")
    return fail("schema", f"at {revision or 'nothing'}, the newest is {newest}", "taskmill migrate up")


def judge_clock(state: DatabaseState) -> Remark:
    """Say whether the clocks agree, as far as can be told."""
    apart = abs(state.clock_ahead_of_here) - state.looked_for / 2
    ahead = state.clock_ahead_of_here.total_seconds()
    found = f"PostgreSQL's is {abs(ahead):.3f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if apart <= CLOCK_TOLERANCE:
        return ok("clock", found)
    return warn("clock", found, "Set both by NTP: due times, leases and ages are compared between machines")
