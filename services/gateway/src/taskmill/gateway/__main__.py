"""Runs the gateway: `python -m taskmill.gateway`."""

import sys

from taskmill.gateway.bootstrap import build
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.service import run_service

if __name__ == "__main__":
    sys.exit(run_service("gateway", GatewaySettings, build))
