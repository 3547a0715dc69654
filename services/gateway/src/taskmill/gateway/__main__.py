"""Runs the gateway: `python -m taskmill.gateway`."""

import argparse
import sys

from taskmill.gateway.bootstrap import build
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.service import run_service


def main(arguments: list[str] | None = None) -> int:
    """Serve until drained; returns the exit code, see `run_service`."""
    argparse.ArgumentParser(
        prog="python -m taskmill.gateway",
        description="Taskmill's REST gateway. Set it by TASKMILL_HOST, TASKMILL_PORT and NATS_URL; see .env.example.",
    ).parse_args(arguments)
    return run_service("gateway", GatewaySettings, build)


if __name__ == "__main__":
    sys.exit(main())
