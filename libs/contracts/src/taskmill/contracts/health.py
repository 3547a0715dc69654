"""How Taskmill is, as the gateway tells it."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from taskmill.contracts.requests import ComponentState, FleetSummary


class HealthStatus(StrEnum):
    """Whether everything can be used."""

    OK = "ok"
    DEGRADED = "degraded"


class Components(BaseModel):
    """The state of each part."""

    model_config = ConfigDict(frozen=True)

    nats: Annotated[ComponentState, Field(description="The message bus.")]
    store: Annotated[ComponentState, Field(description="Whether a task store answers.")]
    postgresql: Annotated[ComponentState, Field(description="The database, as that task store sees it.")]


class Health(BaseModel):
    """How Taskmill is."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[HealthStatus, Field(description="`ok`: every component is up.")]
    components: Annotated[Components, Field(description="The state of each part.")]
    fleet: Annotated[
        FleetSummary | None, Field(description="Who is there for the tasks; null: whoever could tell is away.")
    ] = None
