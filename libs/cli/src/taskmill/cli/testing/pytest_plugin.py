"""The fixtures of pytest that come with Taskmill. pytest finds them by itself where `taskmill-cli` is installed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from taskmill.cli.testing.running_stack import RunningStack


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
) -> "Iterator[RunningStack]":
    """NATS, PostgreSQL and the three services, for the tests of this session: what `taskmill up` runs.

    They start with the first test that wants them, on free ports, with data of their own, and are gone in the end.
    Handlers are imported as tests import them, in pytest's root directory. Tests share it: clear up, or use labels.
    """
    # Here, because this module is imported by every pytest where Taskmill is installed.
    from taskmill.cli.testing.running_stack import running_stack  # noqa: PLC0415

    with running_stack(taskmill_apps, directory=pytestconfig.rootpath, environment=taskmill_environment) as stack:
        yield stack
