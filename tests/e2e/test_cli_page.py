"""The examples of docs/cli.md, as its readers run them."""

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.machine import server_directory
from tests.support.cli import Command
from tests.support.paths import ROOT
from tests.support.stack import TaskmillUp

PAGE = ROOT / "docs" / "cli.md"


@pytest.mark.timeout(240)
async def test_the_examples(tmp_path: Path) -> None:
    """One after another, in one shell, each command succeeds; what is followed behind `#` comes true.

    They pick with jq what they need, which .ci/run brings.
    """
    assert shutil.which("jq"), "the examples need jq: apt-get install jq, or brew install jq"
    examples = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(examples) == 9
    # What is written to a `head` that has ended is a failure to the shell, but not to the reader.
    script = "set -euo pipefail\n" + "\n".join(examples).replace("| head -1", "| { head -1; cat > /dev/null; }")
    with server_directory() as directory:
        stack = TaskmillUp(directory / "data")
        # Where the page says that commands look by themselves, somebody else may be.
        taskmill = Command(tmp_path, {"TASKMILL_DATA": str(stack.data_dir), "KEY": "k1"})
        try:
            await stack.start()
            # It starts the command some fifty times.
            script = script.replace("http://127.0.0.1:8000", stack.url)
            ran = await taskmill.shell(script, within_seconds=180, TASKMILL_URL=stack.url)
        finally:
            await stack.end()
    assert ran.status == 0, ran
    assert "ended with 7" in ran.out
    assert "context production" in ran.out
    assert "OK: queues 1" in ran.out
