import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from taskmill.contracts.errors import (
    DatabaseUnavailableError,
    InternalError,
    OverloadedError,
    TaskmillError,
    TaskNotFoundError,
)
from taskmill.runtime.errors import BatchRefusedError
from taskmill.runtime.mailbox import BatchingMailbox
from tests.support.actors import running
from tests.support.eventually import eventually

Handle = Callable[[Sequence[int]], Awaitable[Sequence[int | TaskmillError]]]


class Ledger:
    """A handler that notes its batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.refuses: Callable[[int], bool] = lambda _: False

    async def handle(self, messages: Sequence[int]) -> list[int | TaskmillError]:
        """Answer each number with ten times it, and a negative one with an error."""
        self.batches.append(list(messages))
        await self.may_go_on.wait()
        if any(self.refuses(message) for message in messages):
            raise BatchRefusedError
        return [TaskNotFoundError() if message < 0 else message * 10 for message in messages]


class Stubborn:
    """A handler that comes back when it is released, whoever cancels it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._released = asyncio.Event()

    async def handle(self, messages: Sequence[int]) -> list[int | TaskmillError]:
        """Answer each number with itself."""
        self.batches.append(list(messages))
        while not self._released.is_set():
            with suppress(asyncio.CancelledError):
                await self._released.wait()
        return list(messages)

    @asynccontextmanager
    async def released_at_last(self) -> AsyncIterator[None]:
        """Release it in the end, also of a test that fails: else the mailbox never drains."""
        try:
            yield
        finally:
            self._released.set()


def mailbox(
    handle: Handle, capacity: int = 100, max_batch: int = 100, deadline_seconds: float = 5
) -> BatchingMailbox[int, int]:
    """A mailbox of generous size."""
    return BatchingMailbox(
        "ledger",
        handle,
        capacity=capacity,
        max_batch=max_batch,
        deadline_seconds=deadline_seconds,
    )


async def test_an_idle_mailbox_handles_a_message_at_once() -> None:
    """A single message is a batch of one."""
    ledger = Ledger()
    async with running(mailbox(ledger.handle)) as box:
        assert await box.ask(4) == 40
    assert ledger.batches == [[4]]


async def test_what_waits_becomes_one_batch() -> None:
    """While one batch is handled the next gathers, in order: group commit."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    async with running(mailbox(ledger.handle)) as box:
        first = asyncio.create_task(box.ask(0))
        await eventually(lambda: ledger.batches)
        others = [asyncio.create_task(box.ask(number)) for number in range(1, 50)]
        await asyncio.sleep(0)
        ledger.may_go_on.set()
        assert await asyncio.gather(first, *others) == [number * 10 for number in range(50)]
    assert ledger.batches == [[0], list(range(1, 50))]


async def test_no_batch_is_larger_than_allowed() -> None:
    """A long queue is handled in several batches."""
    ledger = Ledger()
    async with running(mailbox(ledger.handle, max_batch=10)) as box:
        await asyncio.gather(*[box.ask(number) for number in range(25)])
    assert [len(batch) for batch in ledger.batches] == [10, 10, 5]


async def test_each_sender_gets_its_own_error() -> None:
    """An error among the answers is raised to its sender only."""
    async with running(mailbox(Ledger().handle)) as box:
        answers = await asyncio.gather(box.ask(1), box.ask(-1), box.ask(2), return_exceptions=True)
    assert answers[0] == 10
    assert isinstance(answers[1], TaskNotFoundError)
    assert answers[2] == 20


async def test_one_bad_message_fails_alone() -> None:
    """A refused batch is applied again by halves; everything but the bad message is applied, once and in order."""
    ledger = Ledger()
    ledger.refuses = lambda message: message == 37
    async with running(mailbox(ledger.handle)) as box:
        answers = await asyncio.gather(*[box.ask(number) for number in range(100)], return_exceptions=True)
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, BaseException)]
    assert failed == [37]
    assert isinstance(answers[37], InternalError)
    applied = [number for batch in ledger.batches if 37 not in batch for number in batch]
    assert applied == [number for number in range(100) if number != 37]
    assert len(ledger.batches) < 20


async def test_a_full_mailbox_refuses_at_once() -> None:
    """Beyond the capacity a sender is told so without waiting."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    async with running(mailbox(ledger.handle, capacity=2)) as box:
        handled = asyncio.create_task(box.ask(0))
        await eventually(lambda: ledger.batches)
        waiting = [asyncio.create_task(box.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await box.ask(3)
        assert not box.offer(4, lambda _: pytest.fail("a refused message has no answer"))
        ledger.may_go_on.set()
        assert await asyncio.gather(handled, *waiting) == [0, 10, 20]


async def test_a_handler_that_takes_too_long_is_given_up() -> None:
    """A batch that is not handled within the deadline fails, and the mailbox lives on."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    async with running(mailbox(ledger.handle, deadline_seconds=0.05)) as box:
        with pytest.raises(OverloadedError):
            await box.ask(0)
        ledger.may_go_on.set()
        assert await box.ask(2) == 20


async def test_what_waited_too_long_is_dropped_unhandled() -> None:
    """A sender is told at its deadline, even when the handler has not come back, and its message is never handled."""
    stubborn = Stubborn()
    async with running(mailbox(stubborn.handle, deadline_seconds=0.05)) as box:
        first = asyncio.create_task(box.ask(0))
        await eventually(lambda: stubborn.batches)
        async with stubborn.released_at_last(), asyncio.timeout(5):
            with pytest.raises(OverloadedError):
                await box.ask(1)
        await asyncio.wait({first})
        assert await box.ask(2) == 2
    assert stubborn.batches == [[0], [2]]


async def test_an_unavailable_error_goes_to_every_sender() -> None:
    """When the database is away, everybody in the batch hears it, and the mailbox lives on."""
    is_away = True

    async def handle(messages: Sequence[int]) -> list[int | TaskmillError]:
        if is_away:
            raise DatabaseUnavailableError
        return list(messages)

    async with running(mailbox(handle)) as box:
        answers = await asyncio.gather(*[box.ask(number) for number in range(3)], return_exceptions=True)
        assert [type(answer) for answer in answers] == [DatabaseUnavailableError] * 3
        is_away = False
        assert await box.ask(1) == 1


@pytest.mark.parametrize("fault", [ZeroDivisionError("secret"), ValueError("secret")])
async def test_a_fault_of_the_handler_tells_nothing(fault: Exception) -> None:
    """Senders get an internal error without details, and the mailbox lives on."""

    async def handle(messages: Sequence[int]) -> list[int | TaskmillError]:
        if 0 in messages:
            raise fault
        return list(messages)

    async with running(mailbox(handle)) as box:
        with pytest.raises(InternalError) as caught:
            await box.ask(0)
        assert "secret" not in str(caught.value.problem())
        assert await box.ask(1) == 1


async def test_a_fault_of_one_message_harms_no_other() -> None:
    """What waited together with it is handled all the same."""
    may_begin = asyncio.Event()

    async def handle(messages: Sequence[int]) -> Sequence[int | TaskmillError]:
        await may_begin.wait()
        return [10 // message for message in messages]

    async with running(mailbox(handle)) as box:
        asked = [asyncio.create_task(box.ask(message)) for message in (1, 2, 0, 5)]
        may_begin.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == [10, 5, 2]
    assert isinstance(answers[2], InternalError)


async def test_a_wrong_number_of_answers_is_a_fault() -> None:
    """No sender gets the answer of another, and none waits for ever."""

    async def handle(messages: Sequence[int]) -> Sequence[int | TaskmillError]:
        return messages[:-1]

    async with running(mailbox(handle)) as box:
        with pytest.raises(InternalError):
            await box.ask(0)


async def test_offer_answers_by_callback_and_survives_its_faults() -> None:
    """The callback gets the answer; one that raises harms nobody else."""
    answers: list[int | TaskmillError] = []

    def broken(_: int | TaskmillError) -> None:
        raise ZeroDivisionError

    async with running(mailbox(Ledger().handle)) as box:
        assert box.offer(1, broken)
        assert box.offer(2, answers.append)
        assert box.offer(-1, answers.append)
        await eventually(lambda: len(answers) == 2)
    assert answers[0] == 20
    assert isinstance(answers[1], TaskNotFoundError)


async def test_a_draining_mailbox_handles_what_waits_and_refuses_the_rest() -> None:
    """Nothing that was taken in is lost in a drain."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    async with running(mailbox(ledger.handle)) as box:
        asks = [asyncio.create_task(box.ask(0))]
        await eventually(lambda: ledger.batches)
        asks += [asyncio.create_task(box.ask(1)), asyncio.create_task(box.ask(2))]
        await asyncio.sleep(0)
        box.stop()
        with pytest.raises(OverloadedError):
            await box.ask(3)
        ledger.may_go_on.set()
    assert await asyncio.gather(*asks) == [0, 10, 20]


async def test_a_cancelled_mailbox_leaves_nobody_waiting() -> None:
    """When the drain's deadline ends the actor, each sender is told."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    box = mailbox(ledger.handle)
    task = asyncio.create_task(box.run(lambda: None))
    first = asyncio.create_task(box.ask(0))
    await eventually(lambda: ledger.batches)
    second = asyncio.create_task(box.ask(1))
    await asyncio.sleep(0)
    box.stop()
    task.cancel()
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OverloadedError, OverloadedError]


async def test_stop_before_run() -> None:
    """A mailbox that was stopped before it ran ends at once."""
    box = mailbox(Ledger().handle)
    box.stop()
    async with asyncio.timeout(1):
        await box.run(lambda: None)


async def test_several_are_asked_at_once() -> None:
    """Each gets its own answer, and what fails, or finds no room, does not harm the others."""
    ledger = Ledger()
    async with running(mailbox(ledger.handle, capacity=3)) as box:
        answers = await box.ask_each([1, -1, 2, 3])
        assert [type(answer) for answer in answers] == [int, TaskNotFoundError, int, OverloadedError]
        assert (answers[0], answers[2]) == (10, 20)
        assert await box.ask_each([]) == []
    assert ledger.batches == [[1, -1, 2]]


async def test_several_that_wait_too_long() -> None:
    """They have the same end as one: each is told at its deadline, and none is handled."""
    stubborn = Stubborn()
    async with running(mailbox(stubborn.handle, deadline_seconds=0.05)) as box:
        first = asyncio.create_task(box.ask(0))
        await eventually(lambda: stubborn.batches)
        async with stubborn.released_at_last(), asyncio.timeout(5):
            answers = await box.ask_each([1, 2])
        assert [type(answer) for answer in answers] == [OverloadedError, OverloadedError]
        await asyncio.wait({first})
    assert stubborn.batches == [[0]]


async def test_several_whose_handling_takes_too_long() -> None:
    """They are given up together."""
    ledger = Ledger()
    ledger.may_go_on.clear()
    async with running(mailbox(ledger.handle, deadline_seconds=0.05)) as box:
        answers = await box.ask_each([1, 2])
        assert [type(answer) for answer in answers] == [OverloadedError, OverloadedError]
        ledger.may_go_on.set()
