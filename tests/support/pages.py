"""The blocks of the documentation."""

import re

from tests.support.paths import ROOT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.py)\b")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in a language, in order."""
    return [text for name, text in _BLOCK.findall((ROOT / page).read_text()) if name == language]


def files(page: str) -> dict[str, str]:
    """The blocks of Python of a page that begin with the name of their file, by that name."""
    return {name[1]: text for text in blocks(page, "python") if (name := _FILE.match(text))}
