"""The examples of docs/client.md, as its readers run them."""

import asyncio
import re
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.services import running_services

PAGE = ROOT / "docs" / "client.md"


async def test_the_examples(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after another they run to their end, and print what they say."""
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(examples) == 14
    names: dict[str, Any] = {}

    def run_all() -> None:
        for example in examples:
            exec(compile(example, PAGE, "exec"), names)  # noqa: S102 -- our own

    async with running_services(database_url, nats_url) as services:
        monkeypatch.setenv("TASKMILL_URL", str(services.client.base_url))
        await asyncio.wait_for(asyncio.to_thread(run_all), 60)
    printed = capsys.readouterr().out
    assert printed.count("{'hello': 'world'}") == 2
    assert "invalid_payload" in printed
    assert "task_not_found No task has this id." in printed
    assert [event.type for event in names["history"]][-1] == "completed"
