"""Everything that was fetched and not yet acknowledged: what heartbeats keep."""

from collections.abc import Iterable, Iterator
from itertools import chain
from threading import Lock
from uuid import UUID

from taskmill.processor.domain.held_attempt import HeldAttempt, ReportKey


class HeldWork:
    """The work items that this processor holds. Thread-safe: heartbeats read it from a thread of their own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrived: set[str] = set()
        # Each task has one attempt here, as a rule.
        self._attempts: dict[UUID, list[HeldAttempt]] = {}

    def arrive(self, reply: str) -> None:
        """Note a delivery at its fetch, before it is read."""
        with self._lock:
            self._arrived.add(reply)

    def leave(self, reply: str) -> None:
        """Forget a delivery that was not accepted."""
        with self._lock:
            self._arrived.discard(reply)

    def hold(self, attempt: HeldAttempt) -> None:
        """Hold what a delivery that arrived asks for."""
        with self._lock:
            self._arrived.discard(attempt.reply)
            self._attempts.setdefault(attempt.key.task_id, []).append(attempt)

    def adopt(self, redelivered: HeldAttempt) -> HeldAttempt | None:
        """Take a redelivery of what is held already as a new sign of the old: heartbeats and the ack go to it.

        JetStream redelivers what it has not heard of for too long, so after an outage of NATS a processor may be sent
        what it is working on. When the deliveries before it all came here, nobody else reports under a higher count,
        and the attempt keeps its own. Otherwise it takes over the count of this delivery.

        Returns:
            The attempt that is held, or None when there is none with this key.
        """
        with self._lock:
            for attempt in self._attempts.get(redelivered.key.task_id, ()):
                if attempt.key == redelivered.key:
                    self._arrived.discard(redelivered.reply)
                    attempt.reply = redelivered.reply
                    if redelivered.delivery > attempt.newest_delivery + 1:
                        attempt.renew_fence(redelivered.delivery)
                    attempt.newest_delivery = max(attempt.newest_delivery, redelivered.delivery)
                    return attempt
            return None

    def release(self, attempts: Iterable[HeldAttempt]) -> None:
        """Forget attempts whose end is stored."""
        with self._lock:
            for attempt in attempts:
                others = [it for it in self._attempts.pop(attempt.key.task_id, ()) if it is not attempt]
                if others:
                    self._attempts[attempt.key.task_id] = others

    def of_task(self, task_id: UUID) -> list[HeldAttempt]:
        """The attempts of a task that are held: none or one, as a rule; more when it was dispatched anew meanwhile."""
        with self._lock:
            return list(self._attempts.get(task_id, ()))

    def replies(self) -> list[str]:
        """Where to say that the work is in progress: one subject for each held delivery."""
        with self._lock:
            return [*self._arrived, *(attempt.reply for attempt in self._all())]

    def started_fences(self) -> list[ReportKey]:
        """The fences of all attempts whose handler was called."""
        with self._lock:
            return [attempt.fence for attempt in self._all() if attempt.started_at is not None]

    @property
    def running_count(self) -> int:
        """How many attempts have a handler that was called and has not ended."""
        with self._lock:
            return sum(attempt.started_at is not None and not attempt.is_ended for attempt in self._all())

    def is_overdue(self, now: float) -> bool:
        """Whether some attempt's time is over, and its end has not been reported.

        Args:
            now: In seconds of `time.monotonic`.
        """
        with self._lock:
            return any(
                attempt.times_out_at is not None and attempt.times_out_at < now and not attempt.is_ended
                for attempt in self._all()
            )

    def _all(self) -> Iterator[HeldAttempt]:
        return chain.from_iterable(self._attempts.values())
