import os
from pathlib import Path

from taskmill.runtime.health import HealthFile
from tests.support.actors import running
from tests.support.eventually import eventually


async def test_the_file_exists_only_while_the_process_is_well(tmp_path: Path) -> None:
    """A file of an earlier process does not count; the own one goes with the drain."""
    path = tmp_path / "health"
    path.touch()
    os.utime(path, (1, 1))
    is_healthy = False
    async with running(HealthFile(path, lambda: is_healthy, interval_seconds=0.01)):
        assert not path.exists()
        is_healthy = True
        await eventually(path.exists)
    assert not path.exists()
