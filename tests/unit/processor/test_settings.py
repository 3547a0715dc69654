"""The settings of a processor."""

import re

import pytest
from pydantic import ValidationError

from taskmill.contracts.patterns import NAME_PATTERN
from taskmill.processor.settings import ProcessorSettings, new_processor_id
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load


def test_the_defaults_name_no_queue() -> None:
    """Without any setting: what the apps say, with 100 slots, and nothing is sent to private addresses."""
    settings = ProcessorSettings()
    assert (settings.queues, settings.slots, settings.apps) == ([], 100, [])
    assert settings.http_allow_private is False


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks are ignored, and so are repetitions of a queue."""
    monkeypatch.setenv("TASKMILL_QUEUES", "fast, slow,,fast")
    monkeypatch.setenv("TASKMILL_APPS", "a:app,b.c:app")
    settings = load(ProcessorSettings)
    assert settings.queues == ["fast", "slow"]
    assert settings.apps == ["a:app", "b.c:app"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TASKMILL_QUEUES", "No Queue"),
        ("TASKMILL_SLOTS", "0"),
        ("TASKMILL_PROCESSOR_ID", "a.b"),
        ("TASKMILL_GRACE_SECONDS", "-1"),
    ],
)
def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """What is wrong is told with the variable that sets it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(ProcessorSettings)


def test_settings_do_not_change() -> None:
    """They are frozen."""
    with pytest.raises(ValidationError):
        ProcessorSettings().slots = 5  # type: ignore[misc]


def test_a_processor_id_is_a_token_and_never_the_same() -> None:
    """It fits into a subject, whatever the host is called."""
    first, second = new_processor_id(), new_processor_id()
    assert re.fullmatch(NAME_PATTERN, first)
    assert first != second
