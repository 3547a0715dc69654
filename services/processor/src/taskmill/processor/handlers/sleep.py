"""The kind `sleep`."""

import asyncio
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from taskmill.processor.adapters.outside import Outside
from taskmill.sdk import Context, TaskApp


def register(app: TaskApp, _outside: Outside) -> None:
    """Add the kind."""
    app.task("sleep")(sleep)


class SleepPayload(BaseModel):
    """What `sleep` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seconds: Annotated[float, Field(ge=0, le=86_400, description="How long to sleep, in all.")]
    steps: Annotated[int, Field(ge=1, le=1_000, description="In how many equal steps; each ends with progress.")] = 10


async def sleep(request: SleepPayload, context: Context) -> JsonValue:
    """Sleep, and tell the progress after each step.

    Returns:
        The seconds and the steps.
    """
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    for step in range(1, request.steps + 1):
        # By the clock, so that a thousand small delays do not add up.
        await asyncio.sleep(max(0, began_at + request.seconds * step / request.steps - loop.time()))
        context.progress(step / request.steps, f"step {step} of {request.steps}")
    return {"seconds": request.seconds, "steps": request.steps}
