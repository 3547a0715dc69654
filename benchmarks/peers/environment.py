"""A virtual environment for each peer, with the versions that its requirements.txt pins."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.errors import LeftOutError
from benchmarks.machine import ROOT

_ENVIRONMENTS = ROOT / ".data" / "benchmarks"
_INSTALL_WITHIN_SECONDS = 600


def programs_of(name: str, requirements: Path) -> Path:
    """Install what is pinned, once; return the folder with its programs. Nothing else can go on meanwhile.

    Raises:
        LeftOutError: It could not be installed, such as without a network.
    """
    environment = _ENVIRONMENTS / name
    programs, mark = environment / "bin", environment / "installed"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == digest:
        return programs
    shutil.rmtree(environment, ignore_errors=True)
    _run(name, sys.executable, "-m", "venv", str(environment))
    options = ["--quiet", "--disable-pip-version-check", "--requirement", str(requirements)]
    _run(name, str(programs / "python"), "-m", "pip", "install", *options)
    mark.write_text(digest)
    return programs


def pinned_versions(requirements: Path) -> dict[str, str]:
    """What a requirements.txt pins, by package."""
    pins = (line.partition("==") for line in requirements.read_text().splitlines() if "==" in line)
    return {package.partition("[")[0]: version for package, _, version in pins}


def _run(name: str, *command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 (programs of ours only)
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_WITHIN_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise LeftOutError(f"{name} was not installed within {_INSTALL_WITHIN_SECONDS} s") from None
    if done.returncode != 0:
        raise LeftOutError(f"{name} could not be installed: {done.stderr[-500:]}")
