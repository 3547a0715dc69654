"""Kinds that the tests of the dashboard look at."""

import asyncio
from typing import Any, Literal

from pydantic import BaseModel, Field

from taskmill.sdk import Context, TaskApp

app = TaskApp("pictures")


class Picture(BaseModel):
    """What is to be done."""

    url: str = Field(description="Where the picture is.", min_length=1)
    width: int = Field(ge=1, le=4096, description="In pixels.")
    fit: Literal["cover", "contain"] = "cover"
    seconds: float = Field(default=1.0, description="How long it takes.")


@app.task("resize")
async def resize(payload: Picture, context: Context) -> dict[str, Any]:
    """Take some time, and tell of it."""
    context.log.info("begun", url=payload.url)
    for step in range(5):
        context.progress(step / 5, f"step {step + 1} of 5")
        await asyncio.sleep(payload.seconds / 5)
    context.log.warning("nearly done")
    return {"width": payload.width}


@app.task("broken")
async def broken(_payload: Any, _context: Context) -> None:
    """Fail."""
    raise ValueError("the disk is full")
