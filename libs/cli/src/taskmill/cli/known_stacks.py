"""Where the stacks of this user keep their data, by the port of their gateway, so that any folder finds them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_state_path

from taskmill.cli.atomic_file import write_atomically


@contextlib.contextmanager
def known_stack(port: int, data_dir: Path) -> Iterator[None]:
    """Write down where a stack has its data, while it runs. One that is killed leaves that behind.

    Args:
        port: Where its gateway listens.
        data_dir: The directory that keeps everything, absolute.
    """
    note = _note(port)
    # It only spares people a setting: where it cannot be written, the stack runs all the same.
    with contextlib.suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(note, f"{data_dir}\n", is_private=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def data_dir_of_stack(port: int) -> Path | None:
    """Where the newest stack has its data whose gateway listened on this port; None: nobody knows of one."""
    try:
        return Path(_note(port).read_text().strip())
    except (OSError, ValueError):
        return None


def _note(port: int) -> Path:
    return user_state_path("taskmill") / "stacks" / str(port)
