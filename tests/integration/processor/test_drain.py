"""A processor that is told to stop leaves nothing behind."""

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.reports import Completed, GivenBack, Started
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import processor_process, running_processor, store_side
from tests.support.eventually import eventually


async def test_running_handlers_get_their_time(nats_url: str) -> None:
    """A handler that ends within the grace is reported and acknowledged before the processor is gone."""
    async with store_side(nats_url) as store:
        async with running_processor(nats_url, grace_seconds=10) as supervisor:
            [item] = await store.dispatch("sleep", {"seconds": 0.5, "steps": 1})
            await store.report_of(item, Started)
            supervisor.stop()
        await store.report_of(item, Completed)
        assert await store.work_left() == 0


async def test_what_does_not_end_is_given_back(nats_url: str) -> None:
    """After the grace, async handlers are cancelled, sync ones left behind; both are given back and acknowledged."""
    app = TaskApp("endless")
    cancelled: list[bool] = []

    @app.task("endless")
    async def endless(_payload: Any, _context: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    @app.task("deaf")
    def deaf(_payload: Any, _context: Context) -> None:
        time.sleep(5)

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app):
            [endless_item] = await store.dispatch("endless")
            [deaf_item] = await store.dispatch("deaf")
            await store.report_of(endless_item, Started)
            await store.report_of(deaf_item, Started)
        reports = [await store.report_of(item, GivenBack) for item in (endless_item, deaf_item)]
        assert await store.work_left() == 0
    assert cancelled == [True]
    assert [report.reason for report in reports] == ["draining", "draining"]


async def test_a_handler_that_ignores_its_cancellation_is_left_behind(nats_url: str) -> None:
    """It does not hold up the drain: its task is given back."""
    app = TaskApp("stubborn")
    may_end = asyncio.Event()

    @app.task("stubborn")
    async def stubborn(_payload: Any, _context: Context) -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app):
            [item] = await store.dispatch("stubborn")
            await store.report_of(item, Started)
        may_end.set()
        await store.report_of(item, GivenBack)
        assert await store.work_left() == 0
    assert store.types_of(item) == ["started", "given_back"]


async def test_what_was_not_begun_goes_to_another_at_once(nats_url: str) -> None:
    """Work that waits when a processor drains is served by the next, without any ack wait."""
    async with store_side(nats_url) as store:
        items = await store.dispatch("sleep", {"seconds": 0.05, "steps": 1}, count=200)
        async with running_processor(nats_url, slots=20, grace_seconds=5):
            await store.report_of(items[0], Completed)
        async with running_processor(nats_url, slots=100):
            # Well below the ack wait of 30 s: nothing was left with the first.
            await eventually(lambda: all(store.of(item, Completed) for item in items), within_seconds=10)
            await store.all_acknowledged()


async def test_a_drain_without_nats_comes_to_an_end(nats_server: NatsServer) -> None:
    """Reports that cannot be stored any more do not hold up the drain; their work is executed again."""
    app = TaskApp("quick")

    @app.task("outage")
    async def outage(_payload: Any, _context: Context) -> None:
        await nats_server.stop()

    async with store_side(nats_server.url, ack_wait_seconds=1) as store:
        [item] = await store.dispatch("outage")
        async with running_processor(nats_server.url, app) as supervisor:
            await eventually(lambda: not store.session.is_connected)
            supervisor.stop()
        await nats_server.start()
        async with running_processor(nats_server.url):
            report = await store.report_of(item, GivenBack, within_seconds=20)
    assert report.delivery == 2


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_process(nats_url: str, tmp_path: Path, signal_number: signal.Signals) -> None:
    """A process with an app of a user's drains on a signal and ends with exit code 0, a stuck thread or not."""
    (tmp_path / "my_handlers.py").write_text(
        "import time\nfrom taskmill.sdk import TaskApp\n\napp = TaskApp('mine')\n\n\n"
        "@app.task('stuck')\ndef stuck(payload, context):\n    context.log.info('stuck')\n    time.sleep(600)\n"
    )
    async with (
        store_side(nats_url) as store,
        processor_process(
            nats_url, tmp_path, "--app", "my_handlers:app", "--slots", "3", TASKMILL_GRACE_SECONDS="0"
        ) as process,
    ):
        [item] = await store.dispatch("stuck")
        await store.report_of(item, Started)
        process.send_signal(signal_number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        report = await store.report_of(item, GivenBack)
        assert await store.work_left() == 0
    assert report.reason == "draining"
    assert store.hellos[0].slots == 3
    assert "stuck" in store.hellos[0].kinds


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--app", "nowhere:app"], 2, "there is no module 'nowhere'"),
        (["--slots", "many"], 2, "TASKMILL_SLOTS"),
        (["--queues", "No Queue"], 2, "TASKMILL_QUEUES"),
    ],
)
async def test_a_wrong_command_line_is_explained(
    tmp_path: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    """A processor that cannot start says why in a line, without a traceback."""
    async with processor_process("nats://127.0.0.1:1", tmp_path, *arguments) as process:
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == exit_code
    assert message in errors.decode()
    assert "Traceback" not in errors.decode()
