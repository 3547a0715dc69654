"""Contexts: gateways that have a name, kept in a file of this user's.

Raises `ContextError`:

ContextError
├── NoSuchContextError      no context has this name
└── ContextFileError        the file is not one of contexts
"""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer

from taskmill.cli.atomic_file import write_atomically

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class ContextError(Exception):
    """Root of what can be wrong with contexts; the message is meant for a person at a terminal."""


class NoSuchContextError(ContextError):
    """No context has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        there_are = f"there are: {', '.join(known)}" if known else "there is none yet: taskmill context add"
        super().__init__(f"no context is called {name!r}; {there_are}")


class ContextFileError(ContextError):
    """The file is not one of contexts."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read as contexts ({reason}): mend it, or remove it")


class Context(BaseModel):
    """A gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    api_key: SecretStr | None = None

    @field_serializer("api_key", when_used="json")
    def _plain(self, api_key: SecretStr | None) -> str | None:
        return None if api_key is None else api_key.get_secret_value()


class Contexts(BaseModel):
    """All contexts, and which of them is in use."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    in_use: str | None = None
    contexts: dict[str, Context] = {}

    def named(self, name: str) -> Context:
        """The context of a name.

        Raises:
            NoSuchContextError: There is none.
        """
        if name not in self.contexts:
            raise NoSuchContextError(name, sorted(self.contexts))
        return self.contexts[name]


def is_name(name: str) -> bool:
    """Whether a context may be called so."""
    return re.fullmatch(NAME_PATTERN, name) is not None


def contexts_file() -> Path:
    """Where contexts are kept: `taskmill/contexts.json` among this user's configuration (XDG_CONFIG_HOME on Linux)."""
    return user_config_path("taskmill") / "contexts.json"


def read_contexts(path: Path) -> Contexts:
    """Read the file; without one there are no contexts.

    Raises:
        ContextFileError: It is not one of contexts.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise ContextFileError(path, error.strerror or type(error).__name__) from error
    try:
        return Contexts.model_validate_json(text)
    except ValidationError as error:
        raise ContextFileError(path, str(error.errors()[0]["msg"])) from None


@contextmanager
def changed_contexts(path: Path) -> Iterator[Contexts]:
    """Read the file for a change that is written in the end; who else wants to change it waits so long.

    Raises:
        ContextFileError: It is not one of contexts.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The system lets go of it when the process dies. The file itself is replaced, and so cannot be what is locked.
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        contexts = read_contexts(path)
        yield contexts
        write_contexts(path, contexts)


def write_contexts(path: Path, contexts: Contexts) -> None:
    """Replace the file. Only this user may read it, for it may hold keys."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, contexts.model_dump_json(indent=2) + "\n", is_private=True)
