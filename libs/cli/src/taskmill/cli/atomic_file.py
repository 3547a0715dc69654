"""Small files that a reader never sees half written."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str, *, is_private: bool = False) -> None:
    """Replace the content of `path` in one step: a reader, or a crash, finds the old text or the new one.

    Args:
        path: The file.
        text: What it is to hold.
        is_private: Whether only this user may read it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if is_private:
            draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)
    except OSError:
        # The disk may be full.
        draft.unlink(missing_ok=True)
        raise
