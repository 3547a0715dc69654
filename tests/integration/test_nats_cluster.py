"""The main job on a cluster of three nats-servers, while one after another is killed."""

import asyncio
import os
import uuid
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from taskmill.contracts.streams import WORK_STREAM
from taskmill.sdk.subscribing import Subscriber
from taskmill.sdk.subscribing.settings import SubscriberSettings
from tests.support.eventually import eventually, holds
from tests.support.nats_cluster import NODES, nats_cluster
from tests.support.services import running_services

KILLS = int(os.environ.get("TASKMILL_TEST_CLUSTER_KILLS", "1"))
"""How often a server is killed, beginning with the one that leads; `make test-cluster` takes more."""

TASKS_WITHOUT_A_NODE = 50
AT_ONCE = 8


class Poster:
    """Posts tasks until it is stopped; what is not accepted it posts again, under the same key."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._is_stopped = False
        self.accepted: list[str] = []
        self.repeats = 0

    async def run(self) -> None:
        """Post several at once."""
        await asyncio.gather(*(self._post() for _ in range(AT_ONCE)))

    def stop(self) -> None:
        """Post none that was not begun."""
        self._is_stopped = True

    async def _post(self) -> None:
        while not self._is_stopped:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            task = {"title": "Say hello", "kind": "echo", "payload": 1, "process": True}
            while True:
                answer = await self._client.post("/tasks", json=task, headers=headers)
                if answer.status_code == httpx.codes.CREATED:
                    break
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                self.repeats += 1
                await asyncio.sleep(0.1)
            self.accepted.append(answer.json()["id"])


async def _follow(url: str, types: dict[str, list[str]]) -> None:
    """Note what happens to each task, as a subscriber hears it."""
    settings = SubscriberSettings(nats_url=url.replace("//", "//reader:reader@"))
    async with Subscriber(settings) as subscriber:
        async for event in subscriber.events(after=0):
            types[str(event.task_id)].append(event.type)


def _has(accepted: list[str], count: int) -> bool:
    return len(accepted) >= count


def _are_completed(accepted: list[str], types: dict[str, list[str]]) -> Callable[[], None]:
    def check() -> None:
        left = [(task_id, types[task_id]) for task_id in accepted if types[task_id][-1:] != ["completed"]]
        assert left == []

    return check


@pytest.mark.timeout(90 + 60 * KILLS)
async def test_any_server_of_a_cluster_may_die(database_url: str) -> None:
    """While one of three is away, tasks are taken and done; nothing is lost, and whoever follows misses nothing."""
    types: dict[str, list[str]] = defaultdict(list)
    async with (
        nats_cluster() as cluster,
        running_services(database_url, cluster.url, stores=2, processors=2, nats_replicas=NODES) as services,
    ):
        poster = Poster(services.client)
        following = asyncio.create_task(_follow(cluster.url, types))
        posting = asyncio.create_task(poster.run())
        try:
            await cluster.is_whole()
            first = await cluster.leader_of(WORK_STREAM)
            for number in range(KILLS):
                node = cluster.nodes[(first + number) % NODES]
                await cluster.is_whole()
                await node.kill()
                wanted = len(poster.accepted) + TASKS_WITHOUT_A_NODE
                await eventually(partial(_has, poster.accepted, wanted), within_seconds=30)
                await holds(_are_completed(poster.accepted[:wanted], types), within_seconds=40)
                await node.start()
        finally:
            poster.stop()
        await posting
        await holds(_are_completed(poster.accepted, types), within_seconds=40)
        following.cancel()
        for task_id in poster.accepted:
            assert types[task_id][:2] == ["created", "queued"], types[task_id]
            assert types[task_id].count("completed") == 1, types[task_id]
            task = (await services.client.get(f"/tasks/{task_id}")).json()
            assert task["status"] == "completed", task
