"""The settings of `taskmill up`."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.main import app
from taskmill.cli.services import Services
from taskmill.cli.settings import StackSettings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_url_is_one_that_a_client_here_can_use(host: str, url: str) -> None:
    """A wildcard address is for listening; the URL names an address to connect to."""
    assert StackSettings(host=host).url == url


@pytest.mark.parametrize("variable", ["TASKMILL_PORT", "TASKMILL_PROCESSORS"])
def test_a_wrong_setting_is_named(variable: str) -> None:
    """The command ends with status 2 before anything starts, and says which variable to mend."""
    result = CliRunner().invoke(app, ["up"], env={variable: "many"})
    assert result.exit_code == 2
    assert variable in result.output


def test_a_password_of_nats_wants_one_for_the_reader() -> None:
    """Else everybody could read who knows the default; both variables are named."""
    result = CliRunner().invoke(app, ["up"], env={"TASKMILL_NATS_PASSWORD": "secret-1"})
    assert result.exit_code == 2
    assert "TASKMILL_NATS_PASSWORD" in result.output
    assert "TASKMILL_NATS_READER_PASSWORD" in result.output
    assert "secret-1" not in result.output


@pytest.mark.parametrize("password", ["1two", "a b", 'a"b', "a@b", "a/b", "ä", "$VARIABLE"])
def test_a_password_that_would_break_out_is_refused(password: str) -> None:
    """Of a URL, or of the server's configuration; it is not repeated."""
    result = CliRunner().invoke(app, ["up"], env={"TASKMILL_NATS_READER_PASSWORD": password})
    assert result.exit_code == 2
    assert "TASKMILL_NATS_READER_PASSWORD" in result.output
    assert password not in result.output.replace("TASKMILL_NATS_READER_PASSWORD", "")


def test_each_process_has_a_port_for_its_metrics() -> None:
    """The store has the one that is set, the processors those after it, and then other stores; there must be enough."""
    settings = StackSettings(metrics_port=9_100, metrics_address="127.0.0.2", processors=2, stores=3, gateways=2)
    nats = NatsServer(Path(".data"))
    nats._port = 4_222
    services = Services(settings, Path(".data"), database_url="postgresql://x", nats=nats, gateway_ports=[8_000, 8_001])
    told = {
        process.name: process._environment.get("TASKMILL_METRICS_PORT")
        for process in (*services.stores, *services.processors, *services.gateways)
    }
    ports = {
        "task-store": "9100",
        "task-store-2": "9103",
        "task-store-3": "9104",
        "processor-1": "9101",
        "processor-2": "9102",
    }
    # Gateways tell theirs on their own ports.
    assert told == ports | {"gateway": None, "gateway-2": None}
    assert services.processors[0]._environment["TASKMILL_METRICS_ADDRESS"] == "127.0.0.2"
    variables = {"TASKMILL_METRICS_PORT": "65534", "TASKMILL_PROCESSORS": "1", "TASKMILL_STORES": "2"}
    result = CliRunner().invoke(app, ["up"], env=variables)
    assert result.exit_code == 2
    assert variables.keys() <= set(re.findall(r"\w+", result.output))
