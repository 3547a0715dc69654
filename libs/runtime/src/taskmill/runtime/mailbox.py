"""The batching mailbox: whatever waits is handled as one batch, and each sender gets its own answer (group commit)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import structlog

from taskmill.contracts.errors import InternalError, OverloadedError, TaskmillError
from taskmill.runtime.actor import Actor
from taskmill.runtime.errors import BatchRefusedError

_log = structlog.get_logger(__name__)

M = TypeVar("M")
R = TypeVar("R")


class _Entry(Generic[M, R]):
    __slots__ = ("expires_at", "is_answered", "message", "on_done")

    def __init__(self, message: M, on_done: Callable[[R | TaskmillError], None], expires_at: float) -> None:
        self.message = message
        self.on_done = on_done
        self.expires_at = expires_at
        self.is_answered = False


class BatchingMailbox(Actor, Generic[M, R]):
    """Gathers messages while the batch before is being handled; when idle, handles a message at once.

    Messages are handled in the order in which they came.

    Args:
        name: The actor's name.
        handle: Applies a batch, all or nothing, and returns one answer per message in the same order; an answer that is
            an error is raised to that sender only. It may raise `BatchRefusedError`: then the batch is applied again by
            halves, so that the one bad message fails alone, with `InternalError`. The same becomes of a batch with any
            error that is no `TaskmillError`, and the log tells of it. A `TaskmillError` goes to every sender.
        capacity: How many messages may wait.
        max_batch: How many messages are handled at once.
        deadline_seconds: How long a message may wait; then it is dropped and its sender gets `OverloadedError`. Once
            it is being handled, the same time again is left for the handling of its batch.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Sequence[M]], Awaitable[Sequence[R | TaskmillError]]],
        *,
        capacity: int,
        max_batch: int,
        deadline_seconds: float,
    ) -> None:
        self.name = name
        self._handle = handle
        self._capacity = capacity
        self._max_batch = max_batch
        self._deadline_seconds = deadline_seconds
        self._waiting: deque[_Entry[M, R]] = deque()
        self._expiry: asyncio.TimerHandle | None = None
        self._woken = asyncio.Event()

    async def ask(self, message: M) -> R:
        """Send a message and wait for its answer. A cancelled sender's message may be handled all the same.

        Raises:
            OverloadedError: Too many wait, at once; or the message waited too long; or the mailbox is draining.
            TaskmillError: What the handler answered.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def settle(answer: R | TaskmillError) -> None:
            if future.done():
                return
            if isinstance(answer, TaskmillError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        if not self.offer(message, settle):
            raise OverloadedError
        return await future

    async def ask_each(self, messages: Sequence[M]) -> list[R | TaskmillError]:
        """Send messages and wait for all answers, errors among them; one for which there is no room is overloaded."""
        answers: list[R | TaskmillError] = [OverloadedError() for _ in messages]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        open_answers = 0

        def settle(index: int, answer: R | TaskmillError) -> None:
            nonlocal open_answers
            answers[index] = answer
            open_answers -= 1
            if not open_answers and not future.done():
                future.set_result(None)

        for index, message in enumerate(messages):
            open_answers += self.offer(message, partial(settle, index))
        if open_answers:
            await future
        return answers

    def offer(self, message: M, on_done: Callable[[R | TaskmillError], None]) -> bool:
        """Send a message and have a function called with its answer, which saves a future on hot paths.

        Returns:
            False when the mailbox is full or draining; then `on_done` is never called.
        """
        if self._stop_requested.is_set() or len(self._waiting) >= self._capacity:
            return False
        loop = asyncio.get_running_loop()
        self._waiting.append(_Entry(message, on_done, loop.time() + self._deadline_seconds))
        self._woken.set()
        if self._expiry is None:
            self._expiry = loop.call_later(self._deadline_seconds, self._drop_expired)
        return True

    def stop(self) -> None:
        """Begin the drain: refuse new messages, handle those that wait."""
        super().stop()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Handle batches until drained."""
        started()
        try:
            while True:
                while self._waiting:
                    await self._handle_batch(self._take())
                if self._stop_requested.is_set():
                    return
                self._woken.clear()
                await self._woken.wait()
        finally:
            if self._stop_requested.is_set():
                self._refuse_waiting()

    def _take(self) -> list[_Entry[M, R]]:
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(len(waiting), self._max_batch))]

    async def _handle_batch(self, entries: list[_Entry[M, R]]) -> None:
        try:
            await self._apply(entries)
        except asyncio.CancelledError:
            _answer_all(entries, OverloadedError())
            raise

    async def _apply(self, entries: list[_Entry[M, R]]) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answers = await self._handle([entry.message for entry in entries])
            answered = list(zip(entries, answers, strict=True))
        except BatchRefusedError:
            await self._apply_halves(entries)
        except TimeoutError:
            _log.error("mailbox.handling_timed_out", mailbox=self.name, messages=len(entries))
            _answer_all(entries, OverloadedError())
        except TaskmillError as error:
            _answer_all(entries, error)
        except Exception:
            # A fault of ours may be of one message, too: its neighbours shall not pay for it.
            _log.exception("mailbox.handler_failed", mailbox=self.name, messages=len(entries))
            await self._apply_halves(entries)
        else:
            for entry, answer in answered:
                _answer(entry, answer)

    async def _apply_halves(self, entries: list[_Entry[M, R]]) -> None:
        if len(entries) == 1:
            _log.warning("mailbox.message_refused", mailbox=self.name)
            _answer(entries[0], InternalError())
            return
        middle = len(entries) // 2
        await self._apply(entries[:middle])
        await self._apply(entries[middle:])

    def _drop_expired(self) -> None:
        # All wait equally long, so the oldest expire first and one timer serves them all.
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while waiting and waiting[0].expires_at <= loop.time():
            _answer(waiting.popleft(), OverloadedError())
        self._expiry = loop.call_at(waiting[0].expires_at, self._drop_expired) if waiting else None

    def _refuse_waiting(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        while self._waiting:
            _answer(self._waiting.popleft(), OverloadedError())


def _answer_all(entries: Sequence[_Entry[M, R]], error: TaskmillError) -> None:
    for entry in entries:
        _answer(entry, error)


def _answer(entry: _Entry[M, R], answer: R | TaskmillError) -> None:
    if entry.is_answered:
        return
    entry.is_answered = True
    try:
        entry.on_done(answer)
    except Exception:
        _log.exception("mailbox.answer_failed")
