"""Small files that a reader never sees half written."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace the content of `path` in one step: a reader, or a crash, finds the old text or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
