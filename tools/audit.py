"""Looks up every locked version in the advisories of known vulnerabilities: `python -m tools.audit`.

pip-audit ends well, too, when it could look nothing up, as on a machine without a way to the advisories. This says so
aloud, and with `--strict` it is a failure.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[1]

LOCKS = ("requirements-dev.lock", "requirements-fuzz.lock")
"""Those that are looked up. They have all that the other lock files have, in the same versions; a test keeps it so."""

_SECONDS = 120


class Audit(NamedTuple):
    """What came of it: how many packages were looked up, which could not be, and what is known against the others."""

    looked_up: int
    unknown: list[str]
    vulnerable: list[str]


def main() -> int:
    """0: nothing known is against them, or nothing could be looked up; 1: something is, or could not (`--strict`)."""
    parser = ArgumentParser(prog="python -m tools.audit", description="Look up every locked version in advisories.")
    parser.add_argument("--strict", action="store_true", help="fail, too, if a package could not be looked up")
    is_strict = parser.parse_args().strict
    # One after another: of a package that has two versions, pip-audit would look up one.
    return max(_audit(lock, is_strict=is_strict) for lock in LOCKS)


def _audit(lock: str, *, is_strict: bool) -> int:
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(_ROOT / lock), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603 -- our own
    if not run.stdout:
        _say(f"NOT AUDITED: {lock}: pip-audit failed: {run.stderr.strip().splitlines()[-1]}")
        return 1 if is_strict else 0
    audit = read_audit(run.stdout)
    for line in audit.vulnerable:
        _say(line)
    if audit.unknown:
        names = ", ".join(audit.unknown) if audit.looked_up else "all"
        _say(f"NOT AUDITED, for their advisories could not be had: {names}")
    _say(f"{lock}: {audit.looked_up} packages looked up, {len(audit.unknown)} not, {len(audit.vulnerable)} advisories")
    return 1 if audit.vulnerable or (is_strict and audit.unknown) else 0


def read_audit(answer: str) -> Audit:
    """What pip-audit's JSON says."""
    packages = json.loads(answer)["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    return Audit(
        looked_up=len(known),
        unknown=[package["name"] for package in packages if "skip_reason" in package],
        vulnerable=[
            f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {vulnerability['fix_versions']}"
            for package in known
            for vulnerability in package["vulns"]
        ],
    )


def _say(line: str) -> None:
    sys.stderr.write(f"audit: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
