"""The lifecycle as docs/task-lifecycle.md tells it."""

from tests.support.paths import ROOT

LIFECYCLE_PAGE = ROOT / "docs" / "task-lifecycle.md"


def documented_rows() -> list[list[str]]:
    """The rows of the page's first table, cell by cell: from, run active, by, delivery, to."""
    lines = LIFECYCLE_PAGE.read_text().splitlines()
    first = lines.index("| from | run active | by | delivery | to |") + 2
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
