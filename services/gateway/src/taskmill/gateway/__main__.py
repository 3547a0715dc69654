"""The process: `python -m taskmill.gateway`."""

import argparse
import sys
from collections.abc import Sequence

import taskmill.runtime.light_structlog  # noqa: F401 (before anything else loads structlog)
from taskmill.gateway.bootstrap import build
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.service import run_service


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until drained.

    Args:
        arguments: The command line without the program; None: this process's.

    Returns:
        The exit code; see `run_service`.
    """
    argparse.ArgumentParser(
        prog="python -m taskmill.gateway",
        description="Taskmill's REST gateway. Set it by TASKMILL_HOST, TASKMILL_PORT and NATS_URL; see .env.example.",
    ).parse_args(arguments)
    return run_service("gateway", GatewaySettings, build)


if __name__ == "__main__":
    sys.exit(main())
