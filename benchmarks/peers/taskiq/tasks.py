"""The taskiq broker: `taskiq worker tasks:broker` runs it."""

import os
from typing import Any

from taskiq_nats import PullBasedJetStreamBroker
from taskiq_redis import RedisAsyncResultBackend

broker = PullBasedJetStreamBroker(
    servers=[os.environ["NATS_URL"]],
    durable="benchmark",
    pull_consume_batch=100,
).with_result_backend(RedisAsyncResultBackend(os.environ["REDIS_URL"], result_ex_time=3_600))


@broker.task
async def echo(payload: Any) -> Any:
    """Return the payload."""
    return payload
