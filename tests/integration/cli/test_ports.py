"""Ports on loopback."""

import socket
from pathlib import Path

import pytest

from taskmill.cli.embedded.ports import HIGHEST_PORT, LOWEST_PORT, free_port, is_port_free, recall_port, remember_port
from taskmill.cli.errors import CannotListenError
from taskmill.cli.gateway_ports import find_gateway_ports
from taskmill.cli.settings import StackSettings


def test_a_preferred_port_that_is_free_is_taken() -> None:
    """Looking twice gives the same port."""
    port = free_port()
    assert LOWEST_PORT <= port <= HIGHEST_PORT
    assert free_port(port) == port


def test_a_taken_port_moves_on_to_the_next_free_one() -> None:
    """The port of a listener is not offered."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_port_free(port)
        assert port < free_port(port) <= HIGHEST_PORT


def test_the_search_goes_on_below_the_ports_of_clients() -> None:
    """Ports that the system gives to outgoing connections are never chosen, even if asked for."""
    assert LOWEST_PORT <= free_port(40_000) <= HIGHEST_PORT


def test_a_remembered_port_is_recalled(tmp_path: Path) -> None:
    """What cannot be a port is taken as nothing remembered."""
    file = tmp_path / "port"
    assert recall_port(file) is None
    remember_port(file, 12_345)
    assert recall_port(file) == 12_345
    for nonsense in ("", "http", "0", "99999"):
        file.write_text(nonsense)
        assert recall_port(file) is None


def test_each_gateway_has_a_port_that_nobody_has() -> None:
    """The first that of the settings; then come the next ones that are free and not for metrics."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        settings = StackSettings(port=port, gateways=3, metrics_port=port + 2, processors=1)
        ports = find_gateway_ports(settings)
    assert ports[0] == port
    assert port + 4 <= ports[1] < ports[2]
    assert find_gateway_ports(StackSettings(port=65_535)) == [65_535]
    with pytest.raises(CannotListenError, match="TASKMILL_GATEWAYS=2"):
        find_gateway_ports(StackSettings(port=65_535, gateways=2))
