"""What an operator may set of a processor."""

import os
import re
import secrets
import socket
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from taskmill.contracts.limits import MAX_QUEUES_PER_PROCESSOR
from taskmill.contracts.streams import WORK_ACK_WAIT_SECONDS, WorkAckWaitSeconds
from taskmill.contracts.tasks import ProcessorId, Queue
from taskmill.runtime.settings import HealthSettings, MetricsSettings, NatsSettings, ProcessSettings


def _split(value: Any) -> Any:
    """Read `a, b` as the list of a and b."""
    if isinstance(value, str):
        return [part for part in (part.strip() for part in value.split(",")) if part]
    return value


def _without_repetition(value: Any) -> Any:
    return list(dict.fromkeys(value)) if isinstance(value, list) else value


def new_processor_id() -> str:
    """`<host>-<process id>-<random>`, as far as a processor id may have it.

    Containers often have the same process id, and a process id comes again: hence the random part.
    """
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower())[:40].strip("-") or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(2)}"


class ProcessorSettings(NatsSettings, ProcessSettings, HealthSettings, MetricsSettings):
    """Settings of a processor."""

    processor_id: Annotated[
        ProcessorId, Field(description="Names this process, unique among all; unset: made from host and process id.")
    ] = Field(default_factory=new_processor_id)
    queues: Annotated[
        list[Queue],
        NoDecode,
        BeforeValidator(_without_repetition),
        BeforeValidator(_split),
        Field(
            max_length=MAX_QUEUES_PER_PROCESSOR,
            description="The queues that are served, separated by commas; unset: `default`, `webhooks`, and those that "
            "the handlers of its apps declare.",
        ),
    ] = []
    slots: Annotated[int, Field(ge=1, le=10_000, description="How many handlers run at once.")] = 100
    apps: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_split),
        Field(description="Apps with handlers, as `module:attribute`, separated by commas, beside the built-in kinds."),
    ] = []
    grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3_600,
            description="How long handlers may go on after SIGTERM; then their tasks are given back. "
            "Under `taskmill up` it is 2, for all has to end within 10 s.",
        ),
    ] = 5
    probation_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3_600,
            description="A task that may have been in two crashes of a processor fails at the third. So it is begun "
            "when no other that may have been in one is at work, and the next waits for its end; but neither longer "
            "than this: what kills its processor does so soon, as a rule. Where handlers take minutes, more of it "
            "protects them from poison.",
        ),
    ] = 20
    work_ack_wait_seconds: WorkAckWaitSeconds = WORK_ACK_WAIT_SECONDS
    http_allow_private: Annotated[
        bool,
        Field(
            description="Whether `http-request` and webhooks may connect to private, loopback and link-local addresses."
        ),
    ] = False
