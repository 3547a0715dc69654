"""Load over HTTP by wrk, an event loop in C: what it costs itself is small beside any Python service."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import LeftOutError, MeasurementError

_SCRIPT = Path(__file__).with_name("post.lua")
_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class WrkResult:
    """What one call of wrk saw.

    Attributes:
        requests: How many were answered.
        seconds: How long it took.
        p50_ms: The median time of an answer, in milliseconds.
        p99_ms: Its 99th percentile.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


async def post_for(
    url: str, body: Any, *, headers: Mapping[str, str], connections: int, seconds: int, directory: Path
) -> WrkResult:
    """POST a JSON body again and again: on each connection the next when the last is answered.

    Args:
        url: Where to.
        body: What to send, as JSON.
        headers: What each request has beside what it needs.
        connections: How many requests are under way at once.
        seconds: How long.
        directory: Where the body may be written down for wrk.

    Raises:
        LeftOutError: wrk is not installed.
        MeasurementError: Requests were refused or broke off: then there is nothing to compare.
    """
    program = shutil.which("wrk")
    if program is None:
        raise LeftOutError("wrk is not installed (Debian: apt-get install wrk)")
    body_file = directory / "body.json"
    body_file.write_text(json.dumps(body))
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        *(program, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "10s", "--latency", *given, "--script", str(_SCRIPT), url),
        env={**os.environ, "BENCH_BODY": str(body_file)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds + _GRACE_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise MeasurementError(f"wrk did not end within {seconds + _GRACE_SECONDS} s") from None
    return _read(output.decode())


def _read(output: str) -> WrkResult:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise MeasurementError(f"wrk said: {output}")
    said = json.loads(lines[-1])
    if said["refused"] or said["broken"] or not said["requests"]:
        raise MeasurementError(f"{said['refused']} requests were refused, {said['broken']} broke off: {lines[-1]}")
    return WrkResult(said["requests"], said["seconds"], said["p50_ms"], said["p99_ms"])
