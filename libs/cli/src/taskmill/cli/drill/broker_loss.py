"""The drill `broker-loss`: JetStream loses everything while work is under way."""

import time
from collections.abc import Callable
from uuid import UUID

from taskmill.cli.drill.broker import Broker, StreamContent
from taskmill.cli.drill.counts import UNDISTURBED_EVENTS, Counts, Repetition, count, count_repetition
from taskmill.cli.drill.drill_tasks import DrillTasks
from taskmill.cli.drill.errors import NoWorkUnderWayError

_UNDER_WAY_WITHIN_SECONDS = 15.0
_UNDER_WAY_POLL_SECONDS = 0.1
_FOLLOW_SECONDS = 1.0
_COUNTING_SHARE = 0.2
"""So much of the time, at most, is spent on counting: what is looked at should not be slowed down by it."""

_SHARE_BEFORE = 0.8
"""So many of the tasks are there when the data is lost; the rest is posted while the server is away."""


class BrokerLoss:
    """One run of the drill.

    Args:
        broker: The nats-server that is killed.
        tasks: The drill's own tasks.
        deadline: Until when to follow them, as `time.monotonic` counts.
        say: Gets lines for people.
    """

    def __init__(self, broker: Broker, tasks: DrillTasks, *, deadline: float, say: Callable[[str], None]) -> None:
        self._broker = broker
        self._tasks = tasks
        self._deadline = deadline
        self._say = say
        self._accepted: list[UUID] = []
        self._lost_at = 0.0

    def run(self, task_count: int) -> bool:
        """Post tasks, lose JetStream, and follow the tasks to their end; return whether every one came there.

        Args:
            task_count: How many tasks to post, at least 2.

        Raises:
            StackError: The drill could not be carried out.
            OSError: nats-server could not be killed, or its data not be deleted.
        """
        before = max(1, int(task_count * _SHARE_BEFORE))
        self._accepted += self._tasks.post(before)
        counts = self._await_work_under_way()
        streams = self._broker.look()
        self._tell("before", counts, streams)

        self._broker.lose_everything()
        self._lost_at = time.monotonic()
        self._say("nats-server killed, and everything deleted that JetStream kept")
        self._post_during_outage(task_count - before)
        streams = self._broker.await_new_streams(streams, deadline=self._deadline)
        self._tell("streams made anew", self._count(), streams)

        counts = self._follow()
        recovered_seconds = time.monotonic() - self._lost_at
        self._tell("after", counts, self._broker.look())
        self._conclude(counts, recovered_seconds)
        return not counts.unended

    def _await_work_under_way(self) -> Counts:
        deadline = min(self._deadline, time.monotonic() + _UNDER_WAY_WITHIN_SECONDS)
        while not (counts := self._count()).is_work_under_way:
            if time.monotonic() >= deadline or not counts.unended:
                raise NoWorkUnderWayError(str(counts))
            time.sleep(_UNDER_WAY_POLL_SECONDS)
        return counts

    def _post_during_outage(self, task_count: int) -> None:
        repeats = self._tasks.repeats
        self._accepted += self._tasks.post(task_count)
        self._say(
            f"{self._age()}  {task_count} more tasks accepted, "
            f"under their Idempotency-Key at try {1 + self._tasks.repeats - repeats}"
        )

    def _follow(self) -> Counts:
        """Count until every task has ended, or the time is over."""
        while True:
            began = time.monotonic()
            counts = self._count()
            if not counts.unended or time.monotonic() >= self._deadline:
                return counts
            self._say(f"{self._age()}  {counts}")
            time.sleep(max(_FOLLOW_SECONDS, (time.monotonic() - began) / _COUNTING_SHARE))

    def _count(self) -> Counts:
        return count(self._accepted, self._tasks.all())

    def _tell(self, moment: str, counts: Counts, streams: dict[str, StreamContent]) -> None:
        self._say(f"{moment}: {counts}")
        contents = ", ".join(f"{name} {content.messages}" for name, content in streams.items())
        self._say(f"    messages in JetStream: {contents}")

    def _conclude(self, counts: Counts, recovered_seconds: float) -> None:
        repetition = self._repetition()
        self._say(
            f"accepted {counts.accepted}, ended {counts.ended} ({counts}), lost {counts.unended}\n"
            f"recovered in {recovered_seconds:.1f} s; dispatched again: {repetition.dispatched_again} tasks, "
            f"handler called more than once: {repetition.ran_again}"
        )

    def _repetition(self) -> Repetition:
        disturbed = [task.id for task in self._tasks.all() if task.version > UNDISTURBED_EVENTS]
        return count_repetition(self._tasks.history(task_id) for task_id in disturbed)

    def _age(self) -> str:
        return f"{time.monotonic() - self._lost_at:5.1f} s"
