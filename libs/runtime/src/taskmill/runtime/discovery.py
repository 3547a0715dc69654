"""Answers who asks NATS which services there are, and how they do: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` (ADR-32).

So `nats micro ls`, `info`, `ping` and `stats` find every process of Taskmill. nats-py has the same as `nats.micro`,
which would hand the text of any exception to callers, and serve the requests itself.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.actor import Actor
from taskmill.runtime.clock import Clock, utc_now
from taskmill.runtime.nats_protocol import INBOXES
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.request_stats import EndpointStats

PREFIX = "$SRV"

_TYPES = "io.nats.micro.v1"


class Discovery(Actor):
    """Answers for one process.

    Args:
        session: The connection.
        service: The name that all processes of the service have, which its distribution has, too: its version is told.
        description: What it does.
        instance_id: Differs for every process: one word of letters, digits, `-` and `_`.
        metadata: What else is told of it.
        endpoints: The requests that it answers, and what became of them; none: it answers none.
        group: The queue group that these are answered in.
        now: The clock.
    """

    name = "discovery"

    def __init__(
        self,
        session: NatsSession,
        service: str,
        description: str,
        *,
        instance_id: str,
        metadata: Mapping[str, str] = MappingProxyType({}),
        endpoints: Mapping[str, EndpointStats] = MappingProxyType({}),
        group: str = "",
        now: Clock = utc_now,
    ) -> None:
        self._session = session
        self._description = description
        self._endpoints = endpoints
        self._group = group
        self._now = now
        self._started_at = now()
        self._identity = {
            "name": service,
            "id": instance_id,
            "version": version(service),
            "metadata": dict(metadata),
        }

    async def run(self, started: Callable[[], None]) -> None:
        """Answer until stopped."""
        verbs = {"PING": self._ping, "INFO": self._info, "STATS": self._stats}
        # All services, those of this name, and this one.
        ends = ("", f".{self._identity['name']}", f".{self._identity['name']}.{self._identity['id']}")
        subscriptions = [
            self._session.subscribe(f"{PREFIX}.{verb}{end}", partial(self._on_request, tell))
            for verb, tell in verbs.items()
            for end in ends
        ]
        try:
            started()
            await self._stop_requested.wait()
        finally:
            for subscription in subscriptions:
                self._session.unsubscribe(subscription)

    def _on_request(
        self,
        tell: Callable[[], dict[str, Any]],
        _subject: bytes,
        reply: bytes,
        _body: bytes,
        _headers: bytes | None,
    ) -> None:
        if reply.startswith(INBOXES):
            asyncio.get_running_loop().call_soon(self._answer, tell, reply.decode())

    def _answer(self, tell: Callable[[], dict[str, Any]], reply: str) -> None:
        try:
            self._session.publish(reply, json.dumps(self._identity | tell()).encode())
        except BusUnavailableError:
            return  # Whoever asked has lost the connection, too, or asks again.

    def _ping(self) -> dict[str, Any]:
        return {"type": f"{_TYPES}.ping_response"}

    def _info(self) -> dict[str, Any]:
        endpoints = [self._endpoint(subject) for subject in self._endpoints]
        return {"type": f"{_TYPES}.info_response", "description": self._description, "endpoints": endpoints}

    def _stats(self) -> dict[str, Any]:
        endpoints = [self._endpoint(subject) | stats.told() for subject, stats in self._endpoints.items()]
        return {"type": f"{_TYPES}.stats_response", "started": _instant(self._started_at), "endpoints": endpoints}

    def _endpoint(self, subject: str) -> dict[str, Any]:
        # A name has no dots.
        name = subject.replace(".", "-")
        return {"name": name, "subject": subject, "queue_group": self._group, "metadata": {}}


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
