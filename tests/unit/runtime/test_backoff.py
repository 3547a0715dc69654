import pytest

from taskmill.runtime.backoff import Backoff


def test_pauses_grow_up_to_the_cap() -> None:
    """Each pause is twice as long, until the cap."""
    backoff = Backoff(base_seconds=1, cap_seconds=10, jitter=0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 8, 10]


def test_reset_starts_over() -> None:
    """After a reset the first pause comes again."""
    backoff = Backoff(base_seconds=1, cap_seconds=10, jitter=0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 1


def test_jitter_only_shortens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random part is taken off the pause, and does not slow its growth."""
    monkeypatch.setattr("random.random", lambda: 0.5)
    backoff = Backoff(base_seconds=1, cap_seconds=10, jitter=0.5)
    assert [backoff.next() for _ in range(2)] == [0.75, 1.5]


def test_many_failures_stay_at_the_cap() -> None:
    """A pause stays finite however often something failed."""
    backoff = Backoff(base_seconds=1, cap_seconds=10, jitter=0)
    assert {backoff.next() for _ in range(5_000)} == {1, 2, 4, 8, 10}
