"""Loads structlog, and nothing that it only loads because it is there; the first import of a service's process.

Where Rich is installed, as beside the `taskmill` command, structlog loads it, and 60 modules that it needs, for
tracebacks that no service prints (see `telemetry`); and greenlet, which the task store's SQLAlchemy needs, for contexts
that no service has. A process would keep that in 6 MB. Both are hidden for this moment only: whoever imports them
later, such as an app's handlers, has them.
"""

import sys

_UNUSED = ("rich", "greenlet")

if "structlog" not in sys.modules:
    _loaded = {name: sys.modules[name] for name in _UNUSED if name in sys.modules}
    # What stands for a module that is not there: to import it raises ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]
    try:
        import structlog  # noqa: F401 (to be loaded)
    finally:
        for _name in _UNUSED:
            del sys.modules[_name]
        sys.modules.update(_loaded)
