"""The Makefile, where somebody's machine is not yet as it should be."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

WITHOUT_ENSUREPIP = """\
#!/bin/sh
[ "$1" = -m ] || exit 0
mkdir -p .venv/bin && touch .venv/bin/python
exit 1
"""


def test_an_environment_that_could_not_be_made_is_made_anew(tmp_path: Path) -> None:
    """On Debian without python3-venv one is left that has no pip; `make run` begins again once that is installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / "python3"
    python.write_text(WITHOUT_ENSUREPIP)
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(  # noqa: S603 -- nothing of it comes from outside
        ["make", f"PYTHON={python}", ".venv/bin/python"],  # noqa: S607 -- the one that everybody has
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert made.returncode != 0
    assert not tmp_path.joinpath(".venv/bin/python").exists(), made.stderr
