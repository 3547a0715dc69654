"""What surrounds the tests: a developer's variables and `.env` have no say in them."""

import os

from taskmill.runtime.settings import Settings

ENV_FILE = Settings.model_config.get("env_file")
"""Where settings are read from besides the environment, outside of the tests."""

_OTHER_NAMES = {"DATABASE_URL", "NATS_URL"}


def forget_what_is_set() -> None:
    """Remove all that settings are read from, of this process and of those that it starts; not `TASKMILL_TEST_…`."""
    for name in list(os.environ):
        if name in _OTHER_NAMES or (name.startswith("TASKMILL_") and not name.startswith("TASKMILL_TEST_")):
            del os.environ[name]
    _forget_env_file(Settings)


def _forget_env_file(settings: type[Settings]) -> None:
    settings.model_config["env_file"] = None
    for subclass in settings.__subclasses__():
        _forget_env_file(subclass)
