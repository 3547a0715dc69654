"""Whether tests marked `docker` can run here."""

import subprocess
from collections.abc import Mapping
from functools import cache

import pytest


def require_docker(is_available: bool, environment: Mapping[str, str]) -> None:
    """Skip the running test where there is no Docker engine, but fail it in CI, which has to bring one.

    Args:
        is_available: Whether there is one.
        environment: Has `CI=true` in CI, and there `DOCKER_OK=0` on a machine that cannot have an engine.
    """
    if is_available:
        return
    reason = "needs a Docker engine with compose"
    if environment.get("CI") == "true" and environment.get("DOCKER_OK") != "0":
        pytest.fail(f"{reason}; CI without one has to say DOCKER_OK=0", pytrace=False)
    pytest.skip(reason)


@cache
def is_docker_available() -> bool:
    """Tell whether a Docker engine answers and the docker command knows compose."""
    try:
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=20)  # noqa: S603 (fixed words)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
