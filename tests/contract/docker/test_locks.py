"""docker/locks/, from which the images are installed, against requirements.lock, on which everything else is tested."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCKS = sorted((ROOT / "docker" / "locks").glob("*.lock"))


def _requirements(lock: Path) -> set[str]:
    """Return each requirement of a lock, with its hashes; the marker, which depends on who needs it, is left out."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return {re.sub(r"\s+;.*?(?=\s--hash)", "", line) for line in lines if line.strip()}


def test_every_service_has_a_lock() -> None:
    """There is one for each service, and one for what builds the members."""
    services = {path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml")}
    assert {lock.stem for lock in LOCKS} == services | {"build"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_images_hold_the_tested_versions(lock: Path) -> None:
    """Every version and hash of an image's lock stands in requirements.lock; `make lock` writes both."""
    assert _requirements(lock) - _requirements(ROOT / "requirements.lock") == set()
