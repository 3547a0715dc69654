"""Who may be let in, as an operator sets it."""

import pytest
from pydantic import ValidationError

from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load


@pytest.mark.parametrize(
    ("auth", "host", "is_needed"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "127.8.9.1", False),
        ("auto", "::1", False),
        ("auto", "localhost", False),
        ("auto", "0.0.0.0", True),  # noqa: S104 -- that is what is tested, here and below
        ("auto", "::", True),
        ("auto", "192.168.1.7", True),
        ("auto", "tasks.example.org", True),
        ("required", "127.0.0.1", True),
        ("none", "0.0.0.0", False),  # noqa: S104
    ],
)
def test_credentials_are_needed_wherever_others_can_ask(auth: str, host: str, is_needed: bool) -> None:
    """Unless it is said that they are not."""
    settings = GatewaySettings.model_validate({"auth": auth, "host": host})
    assert settings.needs_credentials is is_needed


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": "off"},
        {"oidc_issuer": "https://id.example.org"},
        {"oidc_audience": "tasks"},
        {"oidc_issuer": "http://id.example.org", "oidc_audience": "tasks"},
        {"oidc_issuer": "http://127.0.0.1.example.org", "oidc_audience": "tasks"},
        {"oidc_issuer": "https://id.example.org", "oidc_audience": "tasks", "oidc_keys_url": "http://keys.example.org"},
        {"oidc_algorithms": "HS256"},
        {"oidc_algorithms": "RS256,none"},
        {"oidc_algorithms": ""},
        {"rate_limit": "5"},
        {"rate_limit": "0/minute"},
        {"rate_limit": "5/fortnight"},
    ],
)
def test_what_would_be_unsafe_or_means_nothing_is_refused(fields: dict[str, str]) -> None:
    """At the start, before anything listens."""
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate(fields)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error of a relation names both variables."""
    monkeypatch.setenv("TASKMILL_ALLOWED_HOSTS", "tasks.example.org, localhost")
    monkeypatch.setenv("TASKMILL_OIDC_ALGORITHMS", "ES256,EdDSA")
    settings = load(GatewaySettings)
    assert settings.allowed_hosts == ["tasks.example.org", "localhost"]
    assert settings.oidc_algorithms == ["ES256", "EdDSA"]
    monkeypatch.setenv("TASKMILL_OIDC_ISSUER", "https://id.example.org")
    with pytest.raises(SettingsError, match="TASKMILL_OIDC_ISSUER and TASKMILL_OIDC_AUDIENCE"):
        load(GatewaySettings)
