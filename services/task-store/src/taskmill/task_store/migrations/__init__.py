"""The migrations of the task store's schema, and which there are; `migrations.steps` runs them.

Revisions are numbered `0001`, `0002`, …, so that their order can be read off the database, and off the names of their
files. Each can be undone, and each has a `phase`, for stores are replaced one after another:

- `pre`, which is meant where nothing is said: it only adds. The stores of the release before work with it, so that it
  is run before the first of the new ones starts.
- `post`: it takes away what the release before still uses, and is run when the last store of that is gone. The
  revisions of a release that are `post` come behind all of its that are `pre`.

Alembic is not loaded here: a store that serves only has to know which revision it needs, and would keep 4 MB for that,
or 9 where Pygments is installed, which Alembic's templates load.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

VERSIONS = Path(__file__).parent / "versions"
"""The folder of the revisions."""

_PHASE = re.compile(r"""^phase\b.*["'](\w+)["']""", re.MULTILINE)


class Phase(StrEnum):
    """When a revision is run in an update."""

    PRE = "pre"
    POST = "post"


class Steps(StrEnum):
    """Which steps of an update to take."""

    PRE = "pre"
    """Those that only add, before the first new store starts."""
    POST = "post"
    """Those that take away, when the last old store is gone."""
    ALL = "all"
    """One after the other, where no store runs."""


class Revision(NamedTuple):
    """A migration."""

    name: str
    phase: Phase


def newest_revision() -> str:
    """The last of all revisions."""
    return revisions()[-1].name


def needed_revision() -> str:
    """The revision that this code needs: those behind it only take away what it does not use."""
    return last_pre(revisions())


def last_pre(among: Sequence[Revision]) -> str:
    """The last one that only adds."""
    return next(dropwhile(lambda step: step.phase is Phase.POST, reversed(among))).name


def revisions(versions: Sequence[Path] = (VERSIONS,)) -> list[Revision]:
    """All that there are, in their order.

    Args:
        versions: The folders that hold them. A file is named after its revision, then `_` and what it is about, if
            anything.
    """
    files = [path for folder in versions for path in folder.glob("[0-9]*.py")]
    return sorted(Revision(path.stem.partition("_")[0], _phase(path.read_text(encoding="utf-8"))) for path in files)


def _phase(text: str) -> Phase:
    found = _PHASE.search(text)
    return Phase(found[1]) if found else Phase.PRE
