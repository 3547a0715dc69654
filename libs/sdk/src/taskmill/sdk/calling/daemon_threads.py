"""Threads for sync handlers, which cannot be interrupted and must not keep the process from ending."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_Call = tuple[Future[Any], Callable[[], Any]] | None


class DaemonThreads(Executor):
    """An executor whose threads are daemons: Python waits for the threads of its own executors before it ends.

    Threads are started when none is idle, and stay for the next call. Who submits bounds their number.

    Args:
        name: Begins the threads' names.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0

    def submit(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call a function in a thread, in a copy of the context. To be called from one thread only."""
        future: Future[_T] = Future()
        # So that its lines of the log name the attempt, and its spans belong to it.
        context = copy_context()
        self._calls.put((future, lambda: context.run(function, *args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            self._count += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._count}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 -- as the base has it
        """Let idle threads end, and the others after their call. Nobody waits for them; nothing is submitted later."""
        for _ in range(self._count):
            self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            self._make(*call)

    def _make(self, future: Future[Any], call: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            self._idle.release()
            return
        result: Any = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as stop:
            # It cannot travel through an asyncio future: who waits for it would wait for ever.
            error = RuntimeError(f"the function raised {type(stop).__name__}")
        except BaseException as raised:
            error = raised
        # Idle before the end is told: the next call, which may come at once, needs no new thread.
        self._idle.release()
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
