import errno
import os
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import HealthSettings, LogSettings, NatsSettings, Settings, load
from tests.support.environment import ENV_FILE


class ExampleSettings(NatsSettings, LogSettings, HealthSettings):
    """Like those of a service, whose `.env` is read as outside of the tests."""

    model_config = SettingsConfigDict(env_file=ENV_FILE)

    slots: Annotated[int, Field(ge=1, le=10, description="How many.")] = 3


@pytest.fixture(autouse=True)
def empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without a `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults() -> None:
    """Nothing has to be set."""
    settings = load(ExampleSettings)
    assert (settings.slots, settings.nats_url) == (3, "nats://127.0.0.1:4222")
    assert settings.health_file is None


@pytest.mark.parametrize("name", ["NATS_URL", "TASKMILL_NATS_URL"])
def test_both_names_of_the_nats_url(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """NATS_URL is understood as people expect, beside our own name."""
    monkeypatch.setenv(name, "nats://example:4222")
    assert load(ExampleSettings).nats_url == "nats://example:4222"


def test_the_environment_beats_the_env_file(monkeypatch: pytest.MonkeyPatch, empty_directory: Path) -> None:
    """`.env` is read, and yields to the environment; what no field knows there is ignored."""
    (empty_directory / ".env").write_text("TASKMILL_SLOTS=5\nTASKMILL_LOG_LEVEL=debug\nTASKMILL_OTHER=1\nPATH=x\n")
    monkeypatch.setenv("TASKMILL_SLOTS", "7")
    settings = load(ExampleSettings)
    assert (settings.slots, settings.log_level) == (7, "debug")


def test_an_empty_variable_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes variables on as empty strings."""
    monkeypatch.setenv("TASKMILL_SLOTS", "")
    assert load(ExampleSettings).slots == 3


def test_errors_name_the_variables_and_not_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong setting is one line with its variable; the value may be a secret."""
    monkeypatch.setenv("TASKMILL_SLOTS", "77777")
    monkeypatch.setenv("NATS_URL", "http://user:s3cret@example")
    with pytest.raises(SettingsError) as caught:
        load(ExampleSettings)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["TASKMILL_NATS_URL", "TASKMILL_SLOTS"]
    assert "77777" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


SEED = f"SU{'A' * 56}"


def test_a_seed_comes_from_a_file_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From one of the two; the file is for this user alone, and what it holds is never told."""
    assert load(ExampleSettings).nats_seed() is None
    file = tmp_path / "gateway.nk"
    file.touch(mode=0o600)
    file.write_text(f"{SEED}\n")
    monkeypatch.setenv("TASKMILL_NATS_NKEY_FILE", str(file))
    assert load(ExampleSettings).nats_seed() == SEED
    monkeypatch.setenv("TASKMILL_NATS_NKEY_SEED", SEED)
    with pytest.raises(SettingsError, match="TASKMILL_NATS_NKEY_FILE and TASKMILL_NATS_NKEY_SEED"):
        load(ExampleSettings)
    monkeypatch.delenv("TASKMILL_NATS_NKEY_FILE")
    settings = load(ExampleSettings)
    assert settings.nats_seed() == SEED
    assert SEED not in repr(settings)


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (SEED, 0o640, "chmod 600"),
        (SEED, 0o604, "chmod 600"),
        ("s3cret", 0o600, "holds no seed"),
        (SEED + SEED, 0o600, "holds no seed"),
        ("ü", 0o600, "holds no seed"),
        (None, 0o600, "cannot be read"),
    ],
    ids=lambda value: "seed" if value == SEED else None,
)
def test_a_file_that_is_no_seed_is_refused(
    text: str | None, mode: int, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At the start, with what is to be done; the file's content is not repeated."""
    file = tmp_path / "gateway.nk"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    monkeypatch.setenv("TASKMILL_NATS_NKEY_FILE", str(file))
    with pytest.raises(SettingsError, match="TASKMILL_NATS_NKEY_FILE") as caught:
        load(ExampleSettings)
    assert complaint in str(caught.value)
    assert text is None or text not in str(caught.value)


def test_a_seed_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not repeated."""
    monkeypatch.setenv("TASKMILL_NATS_NKEY_SEED", "s3cret")
    with pytest.raises(SettingsError, match="TASKMILL_NATS_NKEY_SEED") as caught:
        load(ExampleSettings)
    assert "s3cret" not in str(caught.value)


class RelatedSettings(Settings):
    """With a rule over two fields."""

    low: Annotated[int, Field(description="The lower one.")] = 1
    high: Annotated[int, Field(description="The higher one.")] = 2

    @model_validator(mode="after")
    def check_order(self) -> "RelatedSettings":
        """Compare the two."""
        if self.low > self.high:
            raise ValueError("TASKMILL_LOW must not be above TASKMILL_HIGH")
        return self


def test_a_rule_over_two_settings_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of the rule is the line."""
    monkeypatch.setenv("TASKMILL_LOW", "3")
    with pytest.raises(SettingsError, match=r"^TASKMILL_LOW must not be above TASKMILL_HIGH$"):
        load(RelatedSettings)


def test_an_unknown_argument_is_an_error() -> None:
    """A typing error in code or tests does not pass silently."""
    with pytest.raises(ValidationError):
        ExampleSettings(slotz=3)  # type: ignore[call-arg]


def test_settings_are_frozen_and_do_not_show_the_url() -> None:
    """Nothing changes them later, and a log of them holds no password."""
    settings = ExampleSettings(nats_url="nats://user:s3cret@example:4222")
    with pytest.raises(ValidationError):
        settings.slots = 4  # type: ignore[misc]
    assert "s3cret" not in repr(settings)


def test_every_field_is_described() -> None:
    """The descriptions are the documentation of the variables."""
    for settings_class in (Settings, LogSettings, NatsSettings, HealthSettings):
        assert [name for name, field in settings_class.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("url", ["nats://:::x", "nats://a:99999", "nats://a:4222,nats://b:x", "nats://u:se#cret@a"])
def test_an_address_of_nats_that_cannot_be_taken_apart(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """It is refused by the name of its variable, and not repeated, for it may hold a password."""
    monkeypatch.setenv("TASKMILL_NATS_URL", url)
    with pytest.raises(SettingsError, match=r"^TASKMILL_NATS_URL: a port must be a number") as refusal:
        load(ExampleSettings)
    assert "cret" not in str(refusal.value)


@pytest.mark.parametrize("password", ["\u2100secret", "[secret", "sec]ret", "12/secret", "12?secret"])
def test_an_address_that_a_password_breaks_is_not_repeated(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """Python's own words for the first have all of it; the last two look like a host with its port."""
    monkeypatch.setenv("TASKMILL_NATS_URL", f"nats://user:{password}@a")
    with pytest.raises(SettingsError, match=r"^TASKMILL_NATS_URL: .*in a user and a password write %") as refusal:
        load(ExampleSettings)
    assert "sec" not in str(refusal.value)


@pytest.mark.parametrize("url", ["nats://a", "tls://u:p@[::1]:4222", "nats://a:1,nats://b:2", "nats://a:1,b:2,"])
def test_addresses_of_nats(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Of one server, or of several."""
    monkeypatch.setenv("TASKMILL_NATS_URL", url)
    assert load(ExampleSettings).nats_url == url


@pytest.mark.parametrize("place", ["none/healthy", ".", "file/healthy"])
def test_a_health_file_that_cannot_be_there(monkeypatch: pytest.MonkeyPatch, empty_directory: Path, place: str) -> None:
    """Else the process would run, and never say that it is well."""
    (empty_directory / "file").touch()
    monkeypatch.setenv("TASKMILL_HEALTH_FILE", str(empty_directory / place))
    with pytest.raises(SettingsError, match=r"TASKMILL_HEALTH_FILE: .*folder"):
        load(ExampleSettings)


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_health_file_that_cannot_be_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_allowed: bool
) -> None:
    """With a name that no folder has, or in one that this user may not see: no traceback either."""
    folder = tmp_path / ("x" * 300) if is_allowed else tmp_path / "secret"
    stat_of = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if not is_allowed and path == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return stat_of(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setenv("TASKMILL_HEALTH_FILE", str(folder / "healthy"))
    with pytest.raises(SettingsError, match=r"TASKMILL_HEALTH_FILE: .*folder.* cannot be seen: (Permission|File name)"):
        load(ExampleSettings)
