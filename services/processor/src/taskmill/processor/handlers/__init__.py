"""The built-in kinds. Every module here is one, and has `register(app, http)`, which adds it to the app."""

from importlib import import_module
from pkgutil import iter_modules

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.sdk import TaskApp


def builtin_app(http: GuardedHttp) -> TaskApp:
    """All built-in kinds, registered as users register theirs.

    Args:
        http: What kinds that send requests send them with.
    """
    app = TaskApp("builtin")
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name).register(app, http)
    return app
