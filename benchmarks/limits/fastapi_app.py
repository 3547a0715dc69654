"""The limit for anything on FastAPI: it checks a body, and does nothing."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel


class NewTask(BaseModel):
    """The body that Taskmill gets in the same measure."""

    title: str
    kind: str = "echo"
    payload: Any = None
    process: bool = False


class Accepted(BaseModel):
    """The smallest answer that means something."""

    id: str


app = FastAPI()


@app.post("/tasks", status_code=201)
async def create(task: NewTask) -> Accepted:
    """Answer."""
    return Accepted(id=task.kind)
