"""The procrastinate application: `procrastinate --app tasks.app worker` runs it."""

import os
from typing import Any

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="echo")
async def echo(payload: Any) -> Any:
    """Return the payload."""
    return payload
