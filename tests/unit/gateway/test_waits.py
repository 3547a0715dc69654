import time

import pytest

from taskmill.gateway.api.waiting import Wait, WaitQuery


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=0", 0),
        ("wait=5", 5),
        ("respond-async, WAIT = 005; x=y", 5),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=1000000", 60),
        ("wait=" + "9" * 50_000, 60),
        ("wait=" + "0" * 50_000 + "7", 7),
    ],
)
def test_a_preference_is_capped(prefer: str, seconds: int) -> None:
    """A server waits no longer than it likes to (RFC 7240 §4.3), and says for how long it did."""
    wait = Wait(WaitQuery(), prefer)
    assert (wait.seconds, wait.headers()) == (seconds, {"Preference-Applied": f"wait={seconds}"})


@pytest.mark.parametrize("prefer", [None, "", "wait", "wait=", "wait=x", "wait=5x", "wait=1.5", "wait=-1", "x=wait=5"])
def test_what_is_no_preference_is_passed_over(prefer: str | None) -> None:
    """Nothing waits, and nothing is said."""
    wait = Wait(WaitQuery(), prefer)
    assert (wait.seconds, wait.headers()) == (0, {})


@pytest.mark.parametrize("part", ["0", ",wait=", " ", ", ", "wait", "wait=1 "])
def test_no_header_takes_long(part: str) -> None:
    """Whatever it repeats, however often."""
    started_at = time.monotonic()
    Wait(WaitQuery(), f",wait={part * 20_000}x")
    assert time.monotonic() - started_at < 1


def test_the_parameter_beats_the_preference() -> None:
    """Then that was not applied."""
    wait = Wait(WaitQuery.model_validate({"wait": "7"}), "wait=5")
    assert (wait.seconds, wait.headers()) == (7, {})


def test_who_gives_up_does_not_say_that_it_waited() -> None:
    """Nobody has to believe what is not there."""
    wait = Wait(WaitQuery(), "wait=5")
    wait.give_up()
    assert (wait.seconds, wait.headers()) == (0, {})
