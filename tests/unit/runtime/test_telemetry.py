import json
import logging
import subprocess
import sys

SCRIPT = """
import logging, structlog
from taskmill.runtime.log_names import LOG_NAMES
from taskmill.runtime.settings import LogSettings
from taskmill.runtime.telemetry import configure_logging
configure_logging("example", LogSettings(log_level="info"))
structlog.contextvars.bind_contextvars(task_id="t1")
LOG_NAMES.set(lambda: {"attempt": 3, "answer": 0})
log = structlog.get_logger("ours")
log.debug("hidden")
log.info("one", answer=42)
logging.getLogger("theirs").warning("two %s", "words")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("three")
try:
    raise ValueError("x" * 1_000_000)
except ValueError:
    log.exception("four")
"""


def test_every_logger_writes_json_lines() -> None:
    """Ours and the standard library's come out alike, with service, level, time, context, its names and traceback."""
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 (our own)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.stdout == ""
    assert [line["event"] for line in lines] == ["one", "two words", "three", "four"]
    assert all(line["service"] == "example" and line["task_id"] == "t1" and line["timestamp"] for line in lines)
    assert [line["level"] for line in lines] == ["info", "warning", "error", "error"]
    assert [line["logger"] for line in lines] == ["ours", "theirs", "ours", "ours"]
    assert all(line["attempt"] == 3 for line in lines)
    assert [line["answer"] for line in lines] == [42, 0, 0, 0]
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert len(lines[3]["exception"]) < 25_000


def test_configuring_is_no_import_effect() -> None:
    """Importing the module leaves the loggers alone."""
    handlers = list(logging.getLogger().handlers)
    import taskmill.runtime.telemetry  # noqa: F401

    assert logging.getLogger().handlers == handlers
