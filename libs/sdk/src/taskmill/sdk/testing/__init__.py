"""Running handlers in tests, without servers.

    from taskmill.sdk.testing import run_task

    async def test_an_image_is_resized():
        outcome = await run_task(resize, Resize(url="https://example.org/a.png", width=80))
        assert outcome.result_as(Resized).bytes == 8_000

What calls the handler, and what becomes of its attempts, is the same code as in a processor and in the store. In a
test that is no coroutine: `asyncio.run(run_task(…))`. With the real servers: the pytest fixture `taskmill_stack`, which
comes with `taskmill[server]`.
"""

from taskmill.sdk.testing.outcome import MadeAttempt, NotCompletedError, TaskOutcome
from taskmill.sdk.testing.task import run_task

__all__ = ["MadeAttempt", "NotCompletedError", "TaskOutcome", "run_task"]
