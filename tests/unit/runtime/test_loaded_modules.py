"""What a service's process does not load, because it takes memory that is kept for good: a processor has 60 MB."""

import subprocess
import sys

import pytest

ONLY_WHERE_WANTED = {
    # metrics and traces
    "google.protobuf",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "prometheus_client",
    "wsgiref",
    # migrations
    "alembic",
    "mako",
    # what structlog loads where it is installed
    "pygments",
    "rich",
    # webhooks, requests of handlers, tokens, the dashboard
    "cryptography",
    "httpx",
    "jinja2",
}


@pytest.mark.parametrize("service", ["gateway", "task_store", "processor"])
def test_a_service_loads_no_library_that_it_may_never_need(service: str) -> None:
    """What only a feature needs is loaded where that is used; and Rich, which structlog would load, can be had."""
    program = f"""
import sys
import taskmill.{service}.__main__
print(sorted({ONLY_WHERE_WANTED!r} & sys.modules.keys()))
print("greenlet" in sys.modules)
import rich.traceback, greenlet
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 (this program)
    # SQLAlchemy's asyncio is made of it.
    assert done.stdout.splitlines() == ["[]", str(service == "task_store")]
