"""The Celery application: `celery --app tasks worker` runs it."""

import os
from typing import Any

from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.worker_prefetch_multiplier = 128


@app.task
def echo(payload: Any) -> Any:
    """Return the payload."""
    return payload
