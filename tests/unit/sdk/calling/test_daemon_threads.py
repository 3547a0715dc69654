"""Sync handlers run in threads that are reused and never hold up the end of the process."""

import threading

import pytest

from taskmill.sdk.calling.daemon_threads import DaemonThreads


def test_calls_run_side_by_side_in_daemon_threads() -> None:
    """As many threads as calls are at work."""
    threads = DaemonThreads("test")
    meeting = threading.Barrier(3, timeout=5)

    def meet(name: str) -> tuple[str, bool]:
        meeting.wait()
        return name, threading.current_thread().daemon

    futures = [threads.submit(meet, name) for name in ("a", "b", "c")]
    assert [future.result(5) for future in futures] == [("a", True), ("b", True), ("c", True)]


def test_an_idle_thread_is_used_again() -> None:
    """One call after the other needs one thread, once the first is idle."""
    threads = DaemonThreads("test")
    first = threads.submit(threading.current_thread).result(5)
    assert threads.submit(threading.current_thread).result(5) is first


@pytest.mark.parametrize(("error", "told"), [(KeyError("x"), KeyError), (SystemExit(1), SystemExit)])
def test_what_a_function_raises_is_told(error: BaseException, told: type[BaseException]) -> None:
    """And the thread goes on."""
    threads = DaemonThreads("test")

    def fail() -> None:
        raise error

    with pytest.raises(told):
        threads.submit(fail).result(5)
    assert threads.submit(lambda: 1).result(5) == 1


def test_stop_iteration_is_told_as_another_error() -> None:
    """It could not be raised by whoever awaits it."""

    def fail() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        DaemonThreads("test").submit(fail).result(5)
