"""Finding a user's app by `module:attribute`."""

import importlib
import sys
from pathlib import Path

from taskmill.sdk.app import TaskApp
from taskmill.sdk.errors import AppNotFoundError


def load_app(location: str) -> TaskApp:
    """Import the app that `location` names. Modules are looked for in the current directory too.

    Args:
        location: `module:attribute`, such as `my_project.tasks:app`.

    Raises:
        AppNotFoundError: `location` is malformed, the module does not exist, or the attribute is no `TaskApp`.
        Exception: Whatever the module itself raises while it is imported.
    """
    module_name, separator, attribute = location.partition(":")
    # A name that begins with a dot is a path, or relative to a package that is not there.
    if not (separator and module_name and attribute) or module_name.startswith("."):
        raise AppNotFoundError(location, "it is no module:attribute")
    current_directory = str(Path.cwd())
    if current_directory not in sys.path:
        sys.path.insert(0, current_directory)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that exists but misses one of its own imports is the user's to mend: the traceback says where.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise AppNotFoundError(location, f"there is no module {error.name!r}") from error
    app = getattr(module, attribute, None)
    if not isinstance(app, TaskApp):
        raise AppNotFoundError(location, f"{attribute!r} is no TaskApp")
    return app
