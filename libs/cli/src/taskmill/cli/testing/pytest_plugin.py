"""The fixtures of pytest that come with Taskmill. pytest finds them by itself where `taskmill[server]` is installed.

Every pytest there imports this module, so what it needs is light.
"""

from collections.abc import Iterator, Mapping

import pytest

from taskmill.cli.testing.stack import TaskmillStack, running_stack


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the setting `taskmill_apps`."""
    parser.addini(
        "taskmill_apps", "Where the handlers are that the fixture taskmill_stack runs: module:app ...", type="args"
    )


@pytest.fixture(scope="session")
def taskmill_apps(pytestconfig: pytest.Config) -> list[str]:
    """Which apps the processor of `taskmill_stack` runs, as `module:app`: those of the setting `taskmill_apps`.

    Override it to say otherwise.
    """
    apps: list[str] = pytestconfig.getini("taskmill_apps")
    return apps


@pytest.fixture(scope="session")
def taskmill_environment() -> Mapping[str, str]:
    """Settings of `taskmill_stack`, such as `TASKMILL_SLOTS`, beside those of this process: none. Override it."""
    return {}


@pytest.fixture(scope="session")
def taskmill_stack(
    taskmill_apps: list[str], taskmill_environment: Mapping[str, str], pytestconfig: pytest.Config
) -> Iterator[TaskmillStack]:
    """NATS, PostgreSQL and the three services, for the tests of this session: what `taskmill up` runs.

    They start with the first test that wants them, on free ports, with data of their own, and are gone in the end.
    Handlers are imported as tests import them, in pytest's root directory. Tests share it: clear up, or use labels.
    """
    with running_stack(taskmill_apps, directory=pytestconfig.rootpath, environment=taskmill_environment) as stack:
        yield stack
