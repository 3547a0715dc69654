"""What may be said of a task that is to be the only one of its key."""

from typing import Required, TypedDict

from taskmill.contracts.unique import OnConflict


class UniqueOptions(TypedDict, total=False):
    """Under which key a new task is the only one. It holds the key until its run has ended."""

    key: Required[str]
    """What the task is about: 1 to 200 visible ASCII characters but `/`. All kinds and queues share the keys."""
    on_conflict: OnConflict | str
    """While another task holds the key: `reject` (the default), `return_existing`, `replace_waiting` or `debounce`."""
    debounce_seconds: float | None
    """With `debounce`, and needed there: how long the task waits after what was asked last, up to 7 days."""
    debounce_max_seconds: float | None
    """With `debounce`: how long after its creation it is put off at most; None: for ever."""
    held_for_seconds: float | None
    """How long the key is held at most, up to 30 days; None: until the task has ended. Not with `debounce`."""
