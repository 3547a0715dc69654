"""Measure a running stack: how fast it takes tasks in, and how soon a single task is done.

    make run                                     # in one terminal
    .venv/bin/python benchmarks/measure.py       # in another

Prints one line for each figure. Nothing is asserted: machines differ, and are noisy. The client is http.client on one
thread a connection, since a comfortable client would cost more than what is measured.
"""

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

BURST_TASKS = 2_000
BURST_CONNECTIONS = 32
IDLE_TASKS = 300
UNFINISHED = "&".join(f"status={status}" for status in ("pending", "scheduled", "queued", "in_progress", "failed"))
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.001


class Client:
    """One connection to the gateway.

    Args:
        url: Where the gateway listens.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE_SECONDS)

    def post(self, task: dict[str, Any]) -> str:
        """Create a task that is processed at once; return its id."""
        return str(self._ask("POST", "/tasks", json.dumps({"process": True, **task}))["id"])

    def is_completed(self, task_id: str) -> bool:
        """Tell whether a task is completed."""
        return bool(self._ask("GET", f"/tasks/{task_id}")["status"] == "completed")

    def are_all_completed(self, label: str) -> bool:
        """Tell whether every task with a label is completed."""
        return not self._ask("GET", f"/tasks?label={quote(label)}&{UNFINISHED}&limit=1")["items"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer


def measure_burst(url: str) -> str:
    """Post tasks on many connections at once, and wait until all are completed."""
    burst = str(time.time_ns())

    def post_share(share: range) -> None:
        client = Client(url)
        for number in share:
            client.post({"title": f"Burst {number}", "payload": number, "labels": {"burst": burst}})

    started = time.perf_counter()
    with ThreadPoolExecutor(BURST_CONNECTIONS) as threads:
        shares = [range(first, BURST_TASKS, BURST_CONNECTIONS) for first in range(BURST_CONNECTIONS)]
        list(threads.map(post_share, shares))
    accepted = time.perf_counter() - started
    client = Client(url)
    until(lambda: client.are_all_completed(f"burst:{burst}"))
    completed = time.perf_counter() - started
    return (
        f"{BURST_TASKS} tasks on {BURST_CONNECTIONS} connections: accepted after {accepted:.2f} s, "
        f"all completed after {completed:.2f} s ({BURST_TASKS / completed:.0f} tasks/s)"
    )


def measure_idle(url: str) -> str:
    """Post tasks one by one; each is over when a read sees it completed."""
    client = Client(url)
    milliseconds = []
    for number in range(IDLE_TASKS):
        started = time.perf_counter()
        task_id = client.post({"title": f"Idle {number}"})
        until(lambda task_id=task_id: client.is_completed(task_id))  # type: ignore[misc]
        milliseconds.append((time.perf_counter() - started) * 1000)
    p50, p99 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=100)[98]
    return f"{IDLE_TASKS} single tasks, POST to completed by polling: p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def until(check: Callable[[], bool]) -> None:
    """Poll until `check` says yes.

    Raises:
        TimeoutError: It did not within `DEADLINE_SECONDS`.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    gateway_url = parser.parse_args().url
    print(measure_idle(gateway_url))  # noqa: T201
    print(measure_burst(gateway_url))  # noqa: T201
