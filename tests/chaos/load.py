"""The load: clients that create, process, cancel and read tasks of many sorts, at a steady pace."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.chaos.checker.history import AFTER, DEBOUNCED, LIMITED_KIND, PAUSED_QUEUE
from tests.chaos.client import Client, Record

BATCH_TASKS = 10
_REMEMBERED_TASKS = 20
_QUICK_BACKOFF = {"base_seconds": 0.2, "factor": 2, "cap_seconds": 1, "jitter": 0.5}


class Load:
    """Several clients at work until they are told to stop.

    Args:
        ports: Where the gateways listen.
        seed: What the clients do follows from it.
        clients: How many.
        steps_per_second: How often one of them begins something new; a step makes 1.5 tasks on average.
        enough: How many tasks must be accepted before `stop` is heeded.
        record: Takes each line of the history.
    """

    def __init__(
        self, ports: Sequence[int], *, seed: int, clients: int, steps_per_second: float, enough: int, record: Record
    ) -> None:
        self._clients = [
            Client(number, ports, random.Random(f"{seed}-client-{number}"), record) for number in range(clients)
        ]
        # Of its own, for what the nemesis posts: a client does one thing after the other.
        self.extra_client = Client(clients, ports, random.Random(f"{seed}-extra"), record)
        self._seconds_per_step = 1 / steps_per_second
        self._steps = 0
        self._began_at = 0.0
        self._accepted = 0
        self._enough = enough
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Let every client finish what it has begun, once enough tasks are accepted."""
        self._stop_requested.set()

    async def run(self) -> None:
        """Work until stopped."""
        self._began_at = asyncio.get_running_loop().time()
        try:
            for schedule in _SCHEDULES:
                await self._clients[0].begin_schedule(schedule)
            async with asyncio.TaskGroup() as group:
                for client in self._clients:
                    group.create_task(self._work(client), name=f"client {client.number}")
            await self._clients[0].end_schedules()
        finally:
            for client in (*self._clients, self.extra_client):
                client.close()

    async def _work(self, client: Client) -> None:
        tasks: deque[str] = deque(maxlen=_REMEMBERED_TASKS)
        actions, weights = zip(*_MIX.items(), strict=True)
        while not await self._is_stopped_before_next_step():
            (action,) = client.chance.choices(actions, weights)
            made = await action(client)
            self._accepted += len(made)
            tasks.extend(made)
            if tasks and client.chance.random() < 0.3:
                await client.read(client.chance.choice(tasks))

    async def _is_stopped_before_next_step(self) -> bool:
        due_at = self._began_at + self._steps * self._seconds_per_step
        self._steps += 1
        await asyncio.sleep(max(0.0, due_at - asyncio.get_running_loop().time()))
        return self._stop_requested.is_set() and self._accepted >= self._enough


def _task(client: Client, *, kind: str = "chaos-work", **fields: Any) -> dict[str, Any]:
    # At some 50 tasks a second about 60 are in progress at a time, and a fault waits for 50.
    seconds = round(client.chance.uniform(0.1, 2.3), 3)
    priority = client.chance.choice(("critical", "high", "medium", "low"))
    queue = client.chance.choice(("default", "default", "default", PAUSED_QUEUE))
    common = {"kind": kind, "payload": {"seconds": seconds}, "priority": priority, "queue": queue, "process": True}
    return {**common, **fields}


async def _created(client: Client, **fields: Any) -> list[str]:
    task_id = await client.create(_task(client, **fields))
    return [] if task_id is None else [task_id]


async def _batch(client: Client) -> list[str]:
    return await client.create_many([_task(client) for _ in range(BATCH_TASKS)])


async def _limited(client: Client) -> list[str]:
    more: dict[str, Any] = {"kind": LIMITED_KIND, "queue": "default", "priority": "medium"}
    more["payload"] = {"seconds": round(client.chance.uniform(0.5, 1.5), 3)}
    return await client.create_many(
        [_task(client, **more, concurrency_key=client.chance.choice("abc")) for _ in range(BATCH_TASKS)]
    )


async def _one_after_another(client: Client) -> list[str]:
    follow = client.chance.choice((None, None, Client.cancel, partial(Client.delete, force=True)))
    first = await _created(client)
    second = []
    for task_id in first:
        second = await _created(client, after=first, process=False, labels={AFTER: task_id})
        if follow is not None:
            await follow(client, task_id)
    return [*first, *second]


async def _group(client: Client) -> list[str]:
    # Half of them fail: one of their tasks comes after one that is cancelled.
    first = await _created(client, run_at=_in_seconds(3_600)) if client.chance.random() < 0.5 else []
    tasks = [_task(client) for _ in range(3)]
    tasks += [_task(client, after=first, process=False, labels={AFTER: task_id}) for task_id in first]
    follow_up = _task(client)
    del follow_up["process"]
    await client.create_group(tasks, follow_up)
    for task_id in first:
        await client.cancel(task_id)
    return first


async def _flaky(client: Client) -> list[str]:
    payload = {"seconds": 0.2, "fails": client.chance.randint(1, 2)}
    return await _created(client, payload=payload, max_attempts=3, backoff=_QUICK_BACKOFF)


async def _unique(client: Client) -> list[str]:
    key, policy = client.chance.randint(1, 4), client.chance.choice(("reject", "return_existing", "replace_waiting"))
    return await _created(client, unique={"key": f"key-{key}", "on_conflict": policy})


async def _debounced(client: Client) -> list[str]:
    unique = {"key": f"late-{client.chance.randint(1, 2)}", "on_conflict": "debounce", "debounce_seconds": 0.7}
    return await _created(client, unique=unique, labels={DEBOUNCED: "yes"})


async def _delayed(client: Client) -> list[str]:
    return await _created(client, run_at=_in_seconds(client.chance.uniform(0.5, 3)))


async def _paused(client: Client) -> list[str]:
    if client.number == 0:  # one pauses, so that it is known until when
        await client.pause(PAUSED_QUEUE, client.chance.uniform(1.5, 4))
    return []


async def _cancelled_while_scheduled(client: Client) -> list[str]:
    return await _followed(client, Client.cancel, run_at=_in_seconds(3_600))


async def _followed(
    client: Client, follow: Callable[[Client, str], Awaitable[None]], *, within_seconds: float = 0, **fields: Any
) -> list[str]:
    made = await _created(client, **fields)
    for task_id in made:
        await asyncio.sleep(client.chance.uniform(0, within_seconds))
        await follow(client, task_id)
    return made


def _schedule(interval_seconds: int, overlap: str, seconds: float) -> dict[str, Any]:
    template = {"title": "Chaos", "kind": "chaos-work", "payload": {"seconds": seconds}}
    return {"name": overlap, "template": template, "interval_seconds": interval_seconds, "overlap": overlap}


_SCHEDULES = (_schedule(1, "allow", 0.2), _schedule(2, "skip", 3), _schedule(3, "cancel_running", 4))
"""The longer ones are still at work when the next time comes."""

_MIX: dict[Callable[[Client], Awaitable[list[str]]], int] = {
    _created: 60,
    _flaky: 8,
    partial(_created, labels={"submits": "one"}): 8,
    _paused: 8,
    _batch: 6,
    _limited: 1,
    _unique: 10,
    _debounced: 5,
    _one_after_another: 6,
    _group: 3,
    _delayed: 6,
    partial(_created, kind="chaos-thread"): 6,
    partial(_followed, follow=Client.process, process=False): 5,
    partial(_followed, follow=Client.cancel, within_seconds=1.5): 4,
    partial(_followed, follow=partial(Client.delete, force=True), within_seconds=1.5): 2,
    # Sometimes it is not done by then, and stays.
    partial(_followed, follow=partial(Client.delete, force=False), within_seconds=4): 2,
    partial(_followed, follow=Client.cancel, process=False): 2,
    _cancelled_while_scheduled: 2,
    partial(_created, kind="chaos-blocking", payload={"seconds": 0.3}): 1,
}


def _in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
