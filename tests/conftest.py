"""Fixtures for every level of test: real servers, and a fresh database and NATS for each test."""

import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from datetime import datetime

import pytest
import pytest_asyncio
import structlog
from pydantic import BaseModel

# Before they are imported: a failed assertion of a helper shows its values, too.
pytest.register_assert_rewrite("tests.support", "tests.integration.processor.harness")

from taskmill.cli.embedded.nats import NatsServer
from taskmill.runtime.log_names import add_log_names
from tests.support.browser import chromium, require_browser
from tests.support.databases import migrated_template, new_database
from tests.support.docker_engine import is_docker_available, require_docker
from tests.support.environment import forget_what_is_set, keep_files_in_memory
from tests.support.servers import delete_streams, is_docker_wanted, running_nats, running_postgres, shared_nats

_SHARED_SERVERS = {"postgres_url", "shared_nats_url"}

forget_what_is_set()
keep_files_in_memory()
# A shell has what it runs in the background ignore Ctrl-C, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Not the default, which fills pages with a box for every frame.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        add_log_names,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=True),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, colors=False),
    ]
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for an engine, or a browser, before the fixtures of a test that is marked with it need it."""
    if item.get_closest_marker("docker"):
        require_docker(is_docker_available(), os.environ)
    if item.get_closest_marker("browser"):
        require_browser(chromium(), os.environ)


def pytest_xdist_auto_num_workers() -> int | None:
    """Run two processes for each core: tests wait most of the time. A NATS that is given allows of one only.

    Tests delete all streams there.
    """
    return 0 if os.environ.get("TASKMILL_TEST_NATS_URL") else 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix the e2e tests, which compute, with those that wait, and have them end before the others do.

    So no process works alone in the end, and few stacks start at the same time.

    With servers in Docker, leave out the tests that use none of them: they would be the same as without.
    """
    if is_docker_wanted():
        unchanged = [item for item in items if not _SHARED_SERVERS & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=unchanged)
        items[:] = [item for item in items if item not in set(unchanged)]
    files = list(dict.fromkeys(item.path for item in items))
    e2e = [file for file in files if file.parent.name == "e2e"]
    others = [file for file in files if file.parent.name != "e2e"]
    place = {file: index / len(others) for index, file in enumerate(others)}
    # The second half of the others are unit tests, which take no time.
    place |= {file: 0.4 * index / len(e2e) for index, file in enumerate(e2e)}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """Spare garbage collection what stays to the end."""
    _freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Do so after each file.

    A process that has run thousands of tests has millions of objects: to look at all of them holds it up for seconds,
    longer than the services that are tested in it wait for each other.
    """
    yield
    if nextitem is None or nextitem.path != item.path:
        _freeze()


def _freeze() -> None:
    # Collected first, also for the warnings of what was not closed.
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case after its value where pytest would count, `{'title': None}` for `body3`; None: as pytest does.

    The names must be the same in each process that shares the tests: no addresses, no ids that were just made.
    """
    match val:
        case BaseException() | BaseModel():
            return type(val).__name__
        case datetime():
            return val.isoformat()
        case dict() | list() | tuple():
            with suppress(TypeError, ValueError, RecursionError):
                json.dumps(val)
                return repr(val)[:80]
    return None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_url() -> AsyncIterator[str]:
    """The URL of this process' PostgreSQL, as a user who may create databases."""
    async with running_postgres() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def database_template(postgres_url: str) -> AsyncIterator[str]:
    """The name of a migrated, empty database that `database_url` copies."""
    async with migrated_template(postgres_url) as name:
        yield name


@pytest_asyncio.fixture
async def database_url(postgres_url: str, database_template: str) -> AsyncIterator[str]:
    """The URL of a migrated, empty database that only this test uses."""
    async with new_database(postgres_url, template=database_template) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_nats_url() -> AsyncIterator[str | None]:
    """The URL of the NATS that all tests share, or None when each has its own."""
    async with shared_nats() as url:
        yield url


@pytest_asyncio.fixture
async def nats_url(shared_nats_url: str | None) -> AsyncIterator[str]:
    """The URL of a NATS with JetStream and without any stream."""
    if shared_nats_url is not None:
        await delete_streams(shared_nats_url)
        yield shared_nats_url
    else:
        async with running_nats() as server:
            yield server.url


@pytest_asyncio.fixture
async def nats_server() -> AsyncIterator[NatsServer]:
    """A nats-server of this test's own, for a test that stops or kills it."""
    async with running_nats() as server:
        yield server
