"""What a processor says of itself: everything at first, and then less, unless somebody new may be there."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from taskmill.contracts.reports import Hello
from taskmill.processor.actors.reports import HELLOS_PER_SCHEMAS, Reports
from taskmill.processor.domain.held_work import HeldWork
from taskmill.runtime.publisher import Publisher
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import running_processor, store_side
from tests.support.actors import running
from tests.support.eventually import eventually

SCHEMAS: dict[str, dict[str, Any]] = {"echo": {"type": "object"}}


class Size(BaseModel):
    """What a handler takes."""

    width: int


Large = Annotated[int, Field(description="x" * 20_000)]

app = TaskApp("typed")


@app.task("thumbnail")
async def thumbnail(_size: Size, _context: Context) -> None:
    """Do nothing."""


@app.task("large")
async def large(_number: Large, _context: Context) -> None:
    """Do nothing."""


async def test_the_first_hello_has_the_schemas(nats_url: str) -> None:
    """Those of its kinds that have one, and that there is room for."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        await eventually(lambda: store.hellos)
    told = store.hellos[0].payload_schemas or {}
    assert told["thumbnail"] == Size.model_json_schema()
    assert not {"large", "echo"} & told.keys()
    assert store.hellos[0].payload_schemas_digest is not None


async def test_schemas_are_repeated_now_and_then(nats_url: str) -> None:
    """In between, a hello only refers to them; after a reconnect they are told again."""
    told = Hello(
        queues=["q"],
        kinds=["echo"],
        payload_schemas=SCHEMAS,
        payload_schemas_digest="a" * 64,
        slots=1,
        software_version="1",
    )
    async with store_side(nats_url) as store:
        reports = Reports(
            store.session,
            Publisher(store.session, timeout_seconds=2),
            HeldWork(),
            told,
            processor_id="p",
            boot_id="b",
            hello_interval_seconds=0.02,
        )
        async with running(reports):
            await eventually(lambda: len(store.hellos) > 2 * HELLOS_PER_SCHEMAS)
    has_schemas = [hello.payload_schemas is not None for hello in store.hellos[: 2 * HELLOS_PER_SCHEMAS]]
    assert has_schemas == ([True] + [False] * (HELLOS_PER_SCHEMAS - 1)) * 2
    assert {hello.payload_schemas_digest for hello in store.hellos} == {"a" * 64}
