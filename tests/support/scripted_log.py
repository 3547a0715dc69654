"""A log that says what a test wants, and a stream that gets what a test wants: for what a real store never does."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from taskmill.contracts import registry, subjects
from taskmill.contracts.events import EventType
from taskmill.contracts.log import LogPage, PositionedEvent, ReadLog
from taskmill.contracts.streams import POSITION_HEADER, PREVIOUS_POSITION_HEADER
from taskmill.runtime.nats_session import NatsSession

TASK_ID = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")


def document(version: int, task_id: UUID = TASK_ID) -> bytes:
    """An event's, as far as a subscriber reads it."""
    return json.dumps({"subject": str(task_id), "sequence": version, "data": {}}).encode()


@dataclass
class ScriptedLog:
    """Answers READ_LOG in place of a task store.

    Attributes:
        session: The connection.
        versions: The log: the version of the task's event at each position.
        oldest: Where the log begins; None: with its first event.
        asked: What was asked.
    """

    session: NatsSession
    versions: dict[int, int] = field(default_factory=dict)
    oldest: int | None = None
    asked: list[ReadLog] = field(default_factory=list)

    async def serve(self) -> None:
        """Begin to answer."""
        self.session.subscribe(registry.READ_LOG.subject, self._answer)
        await self.session.flush()

    async def happen(self, position: int, version: int, *, previous: int | None = None) -> None:
        """Write an event and publish it."""
        before = max([one for one in self.versions if one < position], default=0)
        self.versions[position] = version
        await self.publish(position, version, previous=before if previous is None else previous)

    async def publish(self, position: int, version: int, *, previous: int) -> None:
        """Publish an event, written or not."""
        self.session.publish(
            subjects.event(EventType.UPDATED, "echo", TASK_ID),
            document(version),
            headers={POSITION_HEADER: str(position), PREVIOUS_POSITION_HEADER: str(previous)},
        )
        await self.session.flush()

    def _answer(self, _subject: bytes, reply: bytes, body: bytes, _headers: Any) -> None:
        request = ReadLog.model_validate_json(body)
        self.asked.append(request)
        after = request.after
        found = sorted(self.versions) if after is None else [one for one in sorted(self.versions) if one > after]
        newest = max(self.versions, default=0)
        oldest = min(self.versions, default=0) if self.oldest is None else self.oldest
        page = LogPage(
            items=[
                PositionedEvent(
                    position=position,
                    type=EventType.UPDATED,
                    kind="echo",
                    task_id=TASK_ID,
                    document=document(self.versions[position]).decode(),
                )
                for position in (found if after is not None else [])
            ],
            next_after=max(newest, after or 0),
            oldest=oldest,
            newest=newest,
            removed=max(oldest - 1, 0),
        )
        self.session.publish(reply.decode(), page.model_dump_json().encode())
