"""How often a kind's tasks are attempted, as its handler declares it."""

from dataclasses import dataclass

from taskmill.contracts.tasks import RetryBackoff


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed attempts are repeated. What a task says of itself goes before what its kind says.

    Attributes:
        attempts: Attempts in a run at most, 1 to 100.
        base: The wait before the second attempt, in seconds.
        cap: The longest wait, in seconds, up to 7 days.
        factor: By what each wait is longer than the one before.
        jitter: Share of each wait that is random, 0 to 1.
        give_up: The exception, or a tuple of those, after which there is no other attempt.
    """

    attempts: int = 3
    base: float = 2
    cap: float = 300
    factor: float = 2
    jitter: float = 0.1
    give_up: type[Exception] | tuple[type[Exception], ...] = ()

    @property
    def backoff(self) -> RetryBackoff:
        """The waits, as a task holds them.

        Raises:
            ValidationError: One of them is out of bounds.
        """
        return RetryBackoff(base_seconds=self.base, cap_seconds=self.cap, factor=self.factor, jitter=self.jitter)
