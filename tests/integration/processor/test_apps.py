"""What an app declares holds in a processor."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskmill.contracts.reports import Cancelled, Completed, Failed, GivenBack, Started
from taskmill.sdk import Context, NotNow, Retry, TaskApp
from tests.integration.processor.harness import running_processor, store_side
from tests.support.eventually import eventually


async def test_the_lifespan_is_around_all_tasks(nats_url: str) -> None:
    """What it yields is there for every handler, and it is left after the last one."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: TaskApp) -> AsyncIterator[dict[str, str]]:
        seen.append(f"enter {app.name}")
        yield {"pool": "open"}
        seen.append("leave")

    app = TaskApp("with-lifespan", lifespan=lifespan)

    @app.task("look")
    async def look(_payload: Any, ctx: Context) -> Any:
        seen.append("handle")
        return ctx.state

    @app.task("look-in-thread")
    def look_in_thread(_payload: Any, ctx: Context) -> Any:
        return ctx.state

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app):
            for kind in ("look", "look-in-thread"):
                [item] = await store.dispatch(kind)
                assert (await store.report_of(item, Completed)).result == {"pool": "open"}
        assert seen == ["enter with-lifespan", "handle", "leave"]
    assert app.handlers["look"].shared.state is None


async def test_a_lifespan_may_fail(nats_url: str) -> None:
    """At the start it is entered again, and nothing is taken before; at the end nothing is lost."""
    entered: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: TaskApp) -> AsyncIterator[str]:
        entered.append("entered")
        if len(entered) < 3:
            raise ConnectionError
        yield "open"
        raise ConnectionError

    app = TaskApp("with-lifespan", lifespan=lifespan)

    @app.task("look")
    async def look(_payload: Any, ctx: Context) -> Any:
        return ctx.state

    async with store_side(nats_url) as store:
        [item] = await store.dispatch("look")
        async with running_processor(nats_url, app):
            assert (await store.report_of(item, Completed)).result == "open"
        await store.all_acknowledged()
    assert entered == ["entered"] * 3


async def test_a_kind_has_its_own_limit(nats_url: str) -> None:
    """No more of it run at once; those that wait are not reported as started, and others pass them."""
    app, may_end = TaskApp("limited"), asyncio.Event()
    running: list[Any] = []

    @app.task("limited", concurrency=2)
    async def limited(payload: Any, _ctx: Context) -> None:
        running.append(payload)
        await may_end.wait()

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=10):
        items = [(await store.dispatch("limited", number))[0] for number in range(5)]
        started = [await store.report_of(item, Started) for item in items[:2]]
        [other] = await store.dispatch("echo")
        await store.report_of(other, Completed)
        assert (running, [store.types_of(item) for item in items[2:]]) == ([0, 1], [[], [], []])
        # One that waits can be cancelled.
        store.cancel(items[2])
        await store.report_of(items[2], Cancelled)
        may_end.set()
        for item in (*items[:2], *items[3:]):
            await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert running == [0, 1, 3, 4]
    assert len(started) == 2


async def test_a_handler_asks_for_more_time(nats_url: str) -> None:
    """It is not stopped when its first time is over; but when the next one is."""
    app, may_go_on = TaskApp("slow"), asyncio.Event()

    @app.task("slow")
    async def slow(_payload: Any, ctx: Context) -> None:
        ctx.extend(3_600)
        await may_go_on.wait()
        ctx.extend(0.01)
        await asyncio.Event().wait()

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("slow", timeout_seconds=0.2)
        [after] = await store.dispatch("sleep", {"seconds": 0.5})
        await store.report_of(after, Completed)
        assert store.of(item, Failed) == []
        may_go_on.set()
        failed = await store.report_of(item, Failed)
    assert failed.error.code == "timeout"


async def test_a_handler_sees_that_nobody_wants_its_result(nats_url: str) -> None:
    """A thread cannot be stopped, but it can look."""
    app, is_called, saw = TaskApp("thread"), threading.Event(), threading.Event()

    @app.task("look")
    def look(_payload: Any, ctx: Context) -> None:
        is_called.set()
        while not ctx.cancelled:
            threading.Event().wait(0.01)
        saw.set()

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("look")
        assert await asyncio.to_thread(is_called.wait, 5)
        store.cancel(item)
        await store.report_of(item, Cancelled)
        assert await asyncio.to_thread(saw.wait, 5)


async def test_a_handler_sees_that_the_processor_ends(nats_url: str) -> None:
    """It may have its task done elsewhere, before it is stopped."""
    app, is_called = TaskApp("thread"), threading.Event()

    @app.task("look")
    def look(_payload: Any, ctx: Context) -> None:
        is_called.set()
        while not ctx.shutting_down:
            threading.Event().wait(0.01)
        raise NotNow(0)

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app, grace_seconds=30):
            [item] = await store.dispatch("look")
            assert await asyncio.to_thread(is_called.wait, 5)
        assert (await store.report_of(item, GivenBack)).reason == "not_now"


async def test_what_is_not_worth_another_attempt_is_final(nats_url: str) -> None:
    """With its type and traceback, for it is a defect all the same."""
    app = TaskApp("retrying")

    @app.task("fail", retry=Retry(attempts=5, give_up=(KeyError,)))
    async def fail(payload: Any, _ctx: Context) -> None:
        raise KeyError(payload) if payload == "final" else ValueError(payload)

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [final] = await store.dispatch("fail", "final")
        [other] = await store.dispatch("fail", "other")
        first, second = await store.report_of(final, Failed), await store.report_of(other, Failed)
    assert (first.error.code, first.error.type, first.is_final) == ("handler_error", "KeyError", True)
    assert first.traceback is not None
    assert second.is_final is False


async def test_the_queues_of_the_apps_are_served(nats_url: str) -> None:
    """Unless it was said which ones."""
    app = TaskApp("queued")

    @app.task("queued", queue="media")
    async def queued(_payload: Any, _ctx: Context) -> None:
        """Do nothing."""

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app, queues=[]):
            assert store.hellos[-1].queues == ["default", "webhooks", "media"]
            assert store.hellos[-1].kind_defaults["queued"].queue == "media"
        async with running_processor(nats_url, app, queues=["other"]):
            await eventually(lambda: store.hellos[-1].queues == ["other"])
