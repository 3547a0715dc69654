"""Runs a service as `python -m <module>` does, with its failpoint armed: `python -m tests.chaos.bootstrap <module>`."""

import os
import runpy
import sys

from taskmill.runtime.failpoint import FAILPOINT_VARIABLE, arm

if __name__ == "__main__":
    if spec := os.environ.get(FAILPOINT_VARIABLE):
        arm(spec)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
