"""What is generated from the contracts is what is committed."""

from pathlib import Path

import pytest

from taskmill.contracts.generate import differing_files, generated_files, main
from taskmill.contracts.registry import COMMANDS, MESSAGES
from tests.contract.paths import DOCS


def test_the_committed_files_are_up_to_date() -> None:
    """`python -m taskmill.contracts.generate` would change nothing."""
    assert differing_files(DOCS) == []


def test_a_difference_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed, a missing and a superfluous file each fail the check; writing mends all."""
    assert main(["--docs", str(tmp_path)]) == 0
    assert main(["--check", "--docs", str(tmp_path)]) == 0
    (tmp_path / "messages.md").write_text("changed")
    (tmp_path / "schemas" / "Task.json").unlink()
    (tmp_path / "schemas" / "Gone.json").write_text("{}")
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    named = capsys.readouterr().err
    assert [name for name in ("messages.md", "Task.json", "Gone.json") if name not in named] == []
    assert main(["--docs", str(tmp_path)]) == 0
    assert differing_files(tmp_path) == []


def test_the_page_names_every_message() -> None:
    """Each subject and each model has its place."""
    page = generated_files()[Path("messages.md")]
    for command in COMMANDS:
        assert command.subject in page
        assert f"schemas/{command.request.__name__}.json" in page
        assert f"schemas/{command.reply.__name__}.json" in page
    assert [message.subject for message in MESSAGES if message.subject not in page] == []
