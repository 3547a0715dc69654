"""What an operator may set of the gateway."""

import pytest

from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load


def test_the_gateway_is_found_on_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults are safe; the variables have the names that the README tells."""
    assert (load(GatewaySettings).host, load(GatewaySettings).port) == ("127.0.0.1", 8000)
    monkeypatch.setenv("TASKMILL_HOST", "::1")
    monkeypatch.setenv("TASKMILL_PORT", "9000")
    assert (load(GatewaySettings).host, load(GatewaySettings).port) == ("::1", 9000)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_bad_port_is_told_by_its_variable(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator learns which variable to mend."""
    monkeypatch.setenv("TASKMILL_PORT", port)
    with pytest.raises(SettingsError, match="TASKMILL_PORT"):
        load(GatewaySettings)
