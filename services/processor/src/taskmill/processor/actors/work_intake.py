"""Fetches work: as much as there are free slots for, from all lanes by their weights."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import WORK_STREAM, work_consumer_name
from taskmill.processor.actors.execution import Execution
from taskmill.processor.actors.reports import Reports
from taskmill.processor.domain.credit import CreditShares, Lane
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.suspects import DeclinedWork
from taskmill.processor.errors import UndecodableWorkError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.pull import DeliveredMessage, PullConsumer
from taskmill.runtime.set_aside import set_aside

_log = structlog.get_logger(__name__)

BACKLOG_PULL_SECONDS = 1
"""Credit that a lane turns out not to need comes back after this, for the others."""

PARKED_PULL_SECONDS = 30
"""How long the pull of an idle lane waits for a task."""

TURN_SECONDS = 1
"""Lanes are looked after at least this often, whatever happens or does not."""


class WorkIntake(Actor):
    """Keeps every lane served.

    A lane with a backlog (more was waiting at its last delivery) pulls its share of the free slots. Every other lane
    keeps one parked pull, so that an idle processor reacts at once. Parked pulls are not counted against the slots:
    what comes over them while no slot is free is declined (a NAK) at once, and whoever has a free slot gets it.

    Args:
        session: Where pulls are sent and deliveries come from.
        execution: Gets what was fetched.
        reports: While it has no room, nothing is fetched.
        held: Notes what was fetched.
        queues: The queues that are served.
    """

    name = "work-intake"

    def __init__(
        self, session: NatsSession, execution: Execution, reports: Reports, held: HeldWork, queues: Sequence[str]
    ) -> None:
        self._session = session
        self._execution = execution
        self._reports = reports
        self._held = held
        lanes = [Lane(queue, priority) for queue in queues for priority in Priority]
        self._consumers = {lane: self._new_consumer(lane) for lane in lanes}
        self.set_aside = 0
        """How many messages were given up, for they are no work items."""
        self._shares = CreditShares()
        self._declined = DeclinedWork()
        self._to_park = dict.fromkeys(lanes)
        self._arrived: list[tuple[Lane, DeliveredMessage]] = []
        self._is_turn_due = False
        execution.on_slot_freed(self._schedule_turn)
        reports.on_stored(self._schedule_turn)

    @property
    def redelivered(self) -> int:
        """How many work items came that had been delivered before."""
        return sum(consumer.redelivered for consumer in self._consumers.values())

    def stop(self) -> None:
        """Fetch nothing more, and decline what was fetched but not accepted."""
        super().stop()
        self._reports.say_draining()
        for consumer in self._consumers.values():
            consumer.stop()

    async def run(self, started: Callable[[], None]) -> None:
        """Fetch work until stopped."""
        async with asyncio.TaskGroup() as consumers:
            for lane, consumer in self._consumers.items():
                consumers.create_task(consumer.run(_ignore), name=f"pull-{lane.queue}-{lane.priority}")
            started()
            while not self._stop_requested.is_set():
                # Whatever a lost pull leaves unserved is found here.
                self._schedule_turn()
                await is_set_within(self._stop_requested, TURN_SECONDS)
        self._take_turn()

    def _new_consumer(self, lane: Lane) -> PullConsumer:
        return PullConsumer(
            self._session,
            stream=WORK_STREAM,
            consumer=work_consumer_name(lane.queue, lane.priority),
            deliver=partial(self._on_delivery, lane),
            on_change=partial(self._on_change, lane),
        )

    def _on_delivery(self, lane: Lane, delivery: DeliveredMessage) -> None:
        self._held.arrive(delivery.reply)
        self._arrived.append((lane, delivery))
        self._schedule_turn()

    def _on_change(self, lane: Lane) -> None:
        # Credit came back unused, so nothing waits there, or nothing can be had at the moment.
        self._set_idle(lane)
        self._schedule_turn()

    def _schedule_turn(self) -> None:
        # One turn for all that arrives or ends in one go: many tasks are then asked for with one pull.
        if not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_turn_due = False
        arrived, self._arrived = self._arrived, []
        may_accept = self._reports.has_room and not self._stop_requested.is_set()
        declined = []
        for lane, delivery in arrived:
            has_more = delivery.pending > 0
            is_accepted = may_accept and self._accept(delivery)
            if not is_accepted:
                declined.append(delivery.reply)
                self._declined.note(delivery.stream_sequence, delivery.delivery)
            if has_more or not is_accepted:
                self._shares.set_backlogged(lane)
            else:
                self._set_idle(lane)
        self._answer(declined, b"-NAK")
        self._pull()

    def _accept(self, delivery: DeliveredMessage) -> bool:
        """Have a work item executed; False: it has to be declined."""
        try:
            possible_crashes = self._declined.possible_crashes(delivery.stream_sequence, delivery.delivery)
            return self._execution.accept(delivery, possible_crashes=possible_crashes)
        except UndecodableWorkError as error:
            self.set_aside += 1
            _log.error("work.undecodable", subject=delivery.subject, problems=error.problem_count)
            set_aside(
                self._session,
                subjects.SET_ASIDE_WORK_SUBJECT,
                delivery.body,
                found_at=delivery.subject,
                reason="unreadable",
            )
            self._answer([delivery.reply], b"+TERM")
        except Exception:
            # Whatever is wrong with this one, its neighbours are served; it is delivered again after the ack wait.
            _log.exception("work.not_accepted", subject=delivery.subject)
            self._held.leave(delivery.reply)
        return True

    def _set_idle(self, lane: Lane) -> None:
        self._shares.set_idle(lane)
        self._to_park[lane] = None

    def _answer(self, replies: list[str], body: bytes) -> None:
        if not replies:
            return
        try:
            self._session.write_acks(replies, body)
        except BusUnavailableError:
            _log.info("work.left_to_redelivery", count=len(replies))
        for reply in replies:
            self._held.leave(reply)

    def _pull(self) -> None:
        free_slots = self._execution.free_slots
        if self._stop_requested.is_set() or free_slots <= 0 or not self._reports.has_room:
            return
        for lane in list(self._to_park):
            consumer = self._consumers[lane]
            if consumer.outstanding == 0:
                consumer.pull(1, expires_seconds=PARKED_PULL_SECONDS)
            if consumer.outstanding > 0:
                del self._to_park[lane]
        asked_for = sum(self._consumers[lane].outstanding for lane in self._shares.backlogged)
        for lane, credit in self._shares.share_out(free_slots - asked_for).items():
            self._consumers[lane].pull(credit, expires_seconds=BACKLOG_PULL_SECONDS)


def _ignore() -> None:
    """A consumer's start is nobody's business: pulls are sent anew when one cannot be served yet."""
