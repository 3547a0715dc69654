"""The documentation's links lead somewhere."""

import re

from tests.support.paths import ROOT

_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)[^)]*\)")
_NO_PAGES = {".venv", "node_modules", ".pytest_cache", ".data"}


def test_every_local_link_leads_to_a_file() -> None:
    """Of all Markdown files: what they link to in this repository is there."""
    pages = [path for path in ROOT.rglob("*.md") if not _NO_PAGES & set(path.relative_to(ROOT).parts)]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in _LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert ROOT / "README.md" in pages
    assert broken == []
