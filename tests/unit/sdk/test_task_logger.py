"""What a handler logs becomes lines of its task, whatever it logs."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from taskmill.contracts.limits import MAX_LINE_CHARS
from taskmill.contracts.reports import HandlerReport, Logged
from taskmill.contracts.tasks import Line
from taskmill.runtime.settings import LogSettings
from taskmill.runtime.telemetry import configure_logging
from taskmill.sdk import Context
from tests.unit.sdk.test_context import work_item

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Unreadable:
    """What cannot be shown."""

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError("no")


def new_context(told: list[Line]) -> Context:
    """A context whose lines are added to `told`."""

    def tell(report_type: type[HandlerReport], /, **content: Any) -> None:
        assert report_type is Logged
        told.extend(content["lines"])

    return Context(work_item(), tell, now=lambda: NOW)


@pytest.fixture
def _configured() -> Iterator[None]:
    """Logging as a processor sets it up that logs errors only."""
    root = logging.getLogger()
    before = root.level, root.handlers
    configure_logging("test", LogSettings(log_level="error", log_format="json"))
    yield
    root.setLevel(before[0])
    root.handlers = before[1]
    structlog.reset_defaults()


def test_a_line_is_one_text() -> None:
    """What happened, then the fields, without those that every line of the process's log has."""
    told: list[Line] = []
    log = new_context(told).log
    log.info("page fetched", number=3, url="https://example.org/", title="two words")
    log.bind(page=1).warning("slow")
    assert told == [
        Line(at=NOW, level="info", text="page fetched number=3 url=https://example.org/ title='two words'"),
        Line(at=NOW, level="warning", text="slow page=1"),
    ]


@pytest.mark.parametrize(
    ("method", "level"),
    [("info", "info"), ("warning", "warning"), ("error", "error"), ("critical", "critical"), ("exception", "error")],
)
@pytest.mark.usefixtures("_configured")
def test_every_level_but_debug_is_told(method: str, level: str) -> None:
    """Whatever level the process logs at."""
    told: list[Line] = []
    log = new_context(told).log
    log.debug("for the developer")
    getattr(log, method)("for all")
    assert [(line.level, line.text) for line in told] == [(level, "for all")]


@pytest.mark.usefixtures("_configured")
def test_arguments_are_filled_in() -> None:
    """As the process's log does."""
    told: list[Line] = []
    new_context(told).log.info("%d of %d", 3, 4)
    assert [line.text for line in told] == ["3 of 4"]


@pytest.mark.usefixtures("_configured")
def test_the_asynchronous_methods_tell_too() -> None:
    """They are of the same logger."""
    told: list[Line] = []
    asyncio.run(new_context(told).log.ainfo("fetched"))
    assert [line.text for line in told] == ["fetched"]


def test_an_exception_is_told_by_type_and_message() -> None:
    """The traceback is in the process's log alone."""
    told: list[Line] = []
    log = new_context(told).log
    try:
        int("x")
    except ValueError as error:
        log.exception("not fetched")
        log.warning("not fetched", exc_info=error)
    assert [line.text for line in told] == ["not fetched ValueError: invalid literal for int() with base 10: 'x'"] * 2


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "?"),
        ("x" * (MAX_LINE_CHARS + 1), "x" * (MAX_LINE_CHARS - 1) + "…"),
        ("", ""),
    ],
)
def test_a_line_can_be_stored(event: str, text: str) -> None:
    """It is cut, and what PostgreSQL cannot hold is replaced."""
    told: list[Line] = []
    new_context(told).log.info(event)
    assert [line.text for line in told] == [text]


@pytest.mark.usefixtures("_configured")
def test_what_cannot_be_shown_ends_nothing() -> None:
    """What happened is told all the same."""
    told: list[Line] = []
    new_context(told).log.info("odd", value=Unreadable())
    assert [line.text for line in told] == ["odd"]
