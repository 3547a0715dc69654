"""Failpoints: inert unless armed, and each in the code exactly once."""

import re
import subprocess
import sys

from taskmill.runtime.failpoint import failpoint
from tests.chaos.faults.failpoint_reached import FAILPOINTS
from tests.support.paths import ROOT

MAX_CALL_SITES = 13

OF_OTHER_TESTS = ("webhooks.tasks_created", "replays.part_told")
"""Where a test has a store die by itself, for the harness makes no webhooks."""


def test_unarmed_failpoint_does_nothing() -> None:
    """A service that was started in the usual way passes every failpoint."""
    for name in FAILPOINTS:
        failpoint(name)


def test_armed_failpoint_kills_at_its_turn() -> None:
    """The process dies the nth time, as of kill -9, and not before."""
    code = "from taskmill.runtime.failpoint import arm, failpoint; arm('a:2')\n"
    code += "for name in 'bbbaa': print(name, flush=True); failpoint(name)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)  # noqa: S603
    assert (ended.returncode, ended.stdout.split()) == (-9, ["b", "b", "b", "a", "a"])


def test_call_sites_are_few_and_known() -> None:
    """Each failpoint that the harness or a test names has one call site, and there is no other."""
    calls = [
        name
        for folder in ("libs", "services")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'^\s+failpoint\("([a-z_.]+)"\)$', path.read_text(), re.MULTILINE)
    ]
    assert sorted(calls) == sorted((*FAILPOINTS, *OF_OTHER_TESTS))
    assert len(calls) <= MAX_CALL_SITES
