"""Named places at which the chaos harness has a process die: between a commit and its reply, for example.

Nothing happens at them unless `arm` was called, and only the harness's own bootstrap calls it.
"""

import os
import signal

FAILPOINT_VARIABLE = "TASKMILL_FAILPOINT"

_remaining: dict[str, int] = {}


def arm(spec: str) -> None:
    """Have this process die at a failpoint.

    Args:
        spec: `name:nth`, such as `store.after_commit:3`: the third time that it passes there.

    Raises:
        ValueError: `nth` is no number.
    """
    name, _, nth = spec.partition(":")
    _remaining[name] = int(nth)


def failpoint(name: str) -> None:
    """Die here, as of `kill -9`, if this is the armed place and its turn has come."""
    if name not in _remaining:
        return
    _remaining[name] -= 1
    if _remaining[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
