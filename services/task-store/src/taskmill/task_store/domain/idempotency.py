"""Requests that are made again under the same key: answered as the first one was, and done once."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from taskmill.contracts.errors import FieldProblem, IdempotencyKeyReusedError
from taskmill.contracts.registry import COMMANDS
from taskmill.contracts.requests import IdempotencyKey, KeyedRequest, TaskRequest

ID_TAKEN = FieldProblem(pointer="/id", detail="Something else has this id already.", code="id_taken")
"""A request that came before, under no key, has made what this one would make."""

_SCOPES = {command.request: command.verb.replace("_", "-") for command in COMMANDS}


class KeyName(NamedTuple):
    """What identifies a key: the same one may be used for another command, or for another task."""

    scope: str
    key: str


class KeyedAnswer(NamedTuple):
    """A key's row: these fields, in this order, are the columns of `idempotency_keys`."""

    scope: str
    key: str
    fingerprint: str
    answer: str
    """The reply, as JSON text."""
    created_at: datetime
    is_existing: bool = False
    """Whether it tells of a task that was there before, in place of the one that was wanted."""


class KeyBook:
    """The keys of a batch's requests: those that were used before, and those that the batch adds.

    Args:
        known: The answers that are stored under keys of this batch.
    """

    def __init__(self, known: Iterable[KeyedAnswer]) -> None:
        self._answers = {KeyName(answer.scope, answer.key): answer for answer in known}
        self.added: list[KeyedAnswer] = []

    def find(self, name: KeyName, fingerprint: str) -> KeyedAnswer | None:
        """What a request was answered when it was made first; None: this is the first time.

        Raises:
            IdempotencyKeyReusedError: Then, another request was made.
        """
        answer = self._answers.get(name)
        if answer is None:
            return None
        if answer.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return answer

    def keep(self, answer: KeyedAnswer) -> None:
        """Store what a request is answered, together with what it did."""
        self._answers[KeyName(answer.scope, answer.key)] = answer
        self.added.append(answer)


def key_name(request: KeyedRequest, idempotency: IdempotencyKey) -> KeyName:
    """The name of a request's key."""
    scope = _SCOPES[type(request)]
    return KeyName(f"{scope}:{request.id}" if isinstance(request, TaskRequest) else scope, idempotency.key)
