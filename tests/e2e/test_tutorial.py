"""docs/tutorial.md, followed word for word."""

import re

import pytest

from benchmarks.machine import server_directory
from tests.support.paths import ROOT
from tests.tutorial.reader import Reader

NOT_CLONED = {".data", ".env", ".git"}


@pytest.mark.timeout(400)
async def test_the_tutorial_works() -> None:
    """Each file is saved, each command typed, and everything printed that the page says; and nothing is told twice."""
    with server_directory() as folder:
        (folder / "taskmill").mkdir()
        for path in ROOT.iterdir():
            if path.name not in NOT_CLONED:
                (folder / "taskmill" / path.name).symlink_to(path)
        reader = Reader(folder)
        await reader.follow((ROOT / "docs" / "tutorial.md").read_text())
        assert len(list((folder / "thumbs").glob("thumb-*.ppm"))) == 40
    positions = re.findall(r"^(\d+) thumb-", reader.terminals[4].output, re.MULTILINE)
    assert len(positions) == len(set(positions)) == 41
