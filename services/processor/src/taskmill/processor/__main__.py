"""The process: `python -m taskmill.processor [--app module:attribute]... [--queues a,b] [--slots n]`."""

import argparse
import os
import sys
from collections.abc import Sequence

import taskmill.runtime.light_structlog  # noqa: F401 (before anything else loads structlog)
from taskmill.processor.bootstrap import build
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.service import run_service


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until drained.

    An option stands for the variable of the same meaning, and beats it.

    Args:
        arguments: The command line without the program; None: this process's.

    Returns:
        The exit code; see `run_service`.
    """
    options = _parser().parse_args(arguments)
    given = {
        "TASKMILL_APPS": ",".join(options.app) if options.app else None,
        "TASKMILL_QUEUES": options.queues,
        "TASKMILL_SLOTS": options.slots,
    }
    os.environ.update({name: value for name, value in given.items() if value is not None})
    return run_service("processor", ProcessorSettings, build)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m taskmill.processor", description="Run handlers for tasks.")
    parser.add_argument(
        "--app", action="append", metavar="MODULE:ATTRIBUTE", help="handlers; may be repeated (TASKMILL_APPS)"
    )
    parser.add_argument(
        "--queues",
        metavar="A,B",
        help="the queues to serve (TASKMILL_QUEUES; default, webhooks, and what the apps declare)",
    )
    parser.add_argument("--slots", metavar="N", help="how many handlers run at once (TASKMILL_SLOTS; 100)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
