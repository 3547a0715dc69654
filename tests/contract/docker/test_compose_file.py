"""docker-compose.yml against the settings."""

import re
from pathlib import Path

import pytest

from taskmill.contracts.permissions import SERVICE_USERS, NatsUser
from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.settings import Settings, variable_name
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.paths import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
PROD_FILE = ROOT / "docker-compose.prod.yml"

UNIQUE = {"TASKMILL_PROCESSOR_ID", "TASKMILL_NATS_NKEY_FILE", "TASKMILL_NATS_NKEY_SEED"}
"""Not for every container alike."""


def section(service: str, file: Path = COMPOSE_FILE) -> str:
    """The part of a file that describes a service."""
    [_, rest] = file.read_text().split(f"\n  {service}:\n", 1)
    return re.split(r"\n(?=  \w|\w)", rest, maxsplit=1)[0]


def test_nothing_is_open_in_production() -> None:
    """What has a default that everybody knows must be chosen there, and the gateway asks who is there."""
    production = (ROOT / "docker-compose.prod.yml").read_text()
    defaults = set(re.findall(r"\$\{(\w*PASSWORD):-", COMPOSE_FILE.read_text()))
    assert defaults
    # NATS knows keys there, and no passwords.
    assert {name for name in defaults if "NATS" not in name} == set(re.findall(r"\$\{(\w*PASSWORD):\?", production))
    assert "./deploy/nats/nats-users.conf:/etc/nats/nats-users.conf:ro\n" in production
    assert "TASKMILL_AUTH: required\n" in production
    assert "TASKMILL_AUTH: ${TASKMILL_AUTH:-none}\n" in section("gateway")
    assert re.findall(r"^  (\w+):$", production, re.MULTILINE) == ["postgres", "nats", "processor", "gateway"]


@pytest.mark.parametrize(
    ("service", "settings"),
    [("gateway", GatewaySettings), ("task-store", TaskStoreSettings), ("processor", ProcessorSettings)],
)
def test_every_setting_reaches_its_service(service: str, settings: type[Settings]) -> None:
    """Whatever can be set outside of compose can be set there, too."""
    variables = {variable_name(name, field) for name, field in settings.model_fields.items()}
    # The address of PostgreSQL is in a part of the file that the migration has as well.
    handed_on = set(re.findall(r"TASKMILL_\w+(?=:)", section(service) + section("migrate")))
    assert variables - handed_on - UNIQUE == set()


@pytest.mark.parametrize("user", SERVICE_USERS, ids=lambda user: user.name)
def test_in_production_each_service_comes_to_nats_with_its_own_key(user: NatsUser) -> None:
    """And with no password, nor with the key of another; NATS has the users that `taskmill nats users` makes."""
    text = section(user.name, PROD_FILE)
    assert re.findall(r"deploy/nats/\S+\.env", text) == [f"deploy/nats/{user.name}.env"]
    assert "TASKMILL_NATS_URL: nats://nats:4222\n" in text
    assert "deploy/nats/nats-users.conf:/etc/nats/nats-users.conf:ro" in section("nats", PROD_FILE)
