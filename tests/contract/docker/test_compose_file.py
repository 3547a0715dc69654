"""docker-compose.yml against the settings."""

import re

import pytest

from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.settings import Settings, variable_name
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.paths import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"

UNIQUE = {"TASKMILL_PROCESSOR_ID", "TASKMILL_NATS_NKEY_FILE", "TASKMILL_NATS_NKEY_SEED"}
"""Not for every container alike."""


def section(service: str) -> str:
    """The part of the file that describes a service."""
    [_, rest] = COMPOSE_FILE.read_text().split(f"\n  {service}:\n", 1)
    return re.split(r"\n(?=  \w|\w)", rest, maxsplit=1)[0]


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
