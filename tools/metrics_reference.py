"""Writes docs/observability.md's table of metrics, from their definitions.

Run `python -m tools.metrics_reference` in the repository's root, or with `--check`, which writes nothing and ends with
1 if the page differs.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmill.gateway import metrics as gateway
from taskmill.gateway.api.dispatcher import HTTP_SECONDS
from taskmill.processor import metrics as processor
from taskmill.runtime.metrics import Metric
from taskmill.runtime.process_metrics import EVERY_SERVICE, REDELIVERED, REQUEST_SECONDS, SET_ASIDE
from taskmill.task_store import metrics as task_store

PAGE = Path("docs/observability.md")

_OF_GATEWAY = (HTTP_SECONDS, gateway.SSE_CLIENTS, gateway.FOLLOWERS)
_OF_TASK_STORE = (*task_store.COUNTED, *task_store.LOOKED_AT, task_store.LEADS, task_store.TURN_LANES, REQUEST_SECONDS)
_OF_PROCESSOR = (processor.SLOTS, processor.RUNNING, processor.UNSENT)
_OF_CONSUMERS = (REDELIVERED, SET_ASIDE)

GATEWAY = (*EVERY_SERVICE, *_OF_GATEWAY)
TASK_STORE = (*EVERY_SERVICE, *_OF_CONSUMERS, *_OF_TASK_STORE)
PROCESSOR = (*EVERY_SERVICE, *_OF_CONSUMERS, *_OF_PROCESSOR)

_SECTIONS = {
    "every service": EVERY_SERVICE,
    "task store and processor": _OF_CONSUMERS,
    "task store": _OF_TASK_STORE,
    "processor": _OF_PROCESSOR,
    "gateway": _OF_GATEWAY,
}

_BLOCK = re.compile(r"(<!-- metrics: `make generate` writes them -->\n).*?(<!-- end of metrics -->)", re.DOTALL)


def table() -> str:
    """The table of all metrics."""
    lines = ["| metric | of | type | labels | what it is |", "|---|---|---|---|---|"]
    lines += [_row(service, metric) for service, metrics in _SECTIONS.items() for metric in metrics]
    return "\n".join(lines) + "\n"


def _row(service: str, metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {service} | {metric.type} | {labels} | {metric.help} |"


def page(text: str) -> str:
    """The page with the table as it is now.

    Args:
        text: The page as it is.
    """
    return _BLOCK.sub(lambda block: block[1] + table() + block[2], text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.metrics_reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the page would change")
    options = parser.parse_args(arguments)
    before = PAGE.read_text(encoding="utf-8")
    after = page(before)
    if not options.check:
        PAGE.write_text(after, encoding="utf-8")
    elif after != before:
        sys.stderr.write(f"{PAGE} differs from the metrics; run `make generate`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
