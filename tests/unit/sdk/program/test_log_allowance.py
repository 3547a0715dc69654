"""What a program says fills the log of the processor only so far."""

from taskmill.sdk.program.log_allowance import LogAllowance


def test_each_period_takes_so_much() -> None:
    """What is left out of one is told at the first line of a later one, or in the end; a calm one tells nothing."""
    at, told = 0.0, list[tuple[int, int]]()
    allowance = LogAllowance(lambda lines, chars: told.append((lines, chars)), chars=10, seconds=60, now=lambda: at)
    assert [allowance.takes("x" * 4) for _ in range(4)] == [True, True, False, False]
    at = 59.9
    assert not allowance.takes("x")
    assert told == []
    at = 60
    assert allowance.takes("x" * 10)
    assert told == [(3, 9)]
    at = 120
    assert allowance.takes("x")
    assert not allowance.takes("x" * 11)
    allowance.close()
    allowance.close()
    assert told == [(3, 9), (1, 11)]
