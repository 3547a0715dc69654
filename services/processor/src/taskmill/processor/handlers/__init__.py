"""The built-in kinds. Every module here is one, and has `register(app, outside)`, which adds it to the app."""

from importlib import import_module
from pkgutil import iter_modules

from taskmill.processor.adapters.outside import Outside
from taskmill.sdk import TaskApp


def builtin_app(outside: Outside) -> TaskApp:
    """All built-in kinds, registered as users register theirs.

    Args:
        outside: What kinds reach beyond the process.
    """
    app = TaskApp("builtin")
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name).register(app, outside)
    return app
