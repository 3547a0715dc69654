"""API keys, as the task store says them: asked for when one is used first, and again twice a second while it is used.

A request normally finds its key here, and what the store says of a key is believed for a second: no longer, whatever
NATS does, so that a key that was revoked opens nothing a second later.
"""

import asyncio
import hmac
import time
from collections.abc import Sequence
from datetime import datetime

from taskmill.contracts import registry
from taskmill.contracts.api_keys import ApiKeyPage, FindApiKeys, FoundApiKey, FoundApiKeys, ListApiKeys
from taskmill.contracts.errors import OverloadedError, TaskmillError
from taskmill.contracts.key_text import KEY_PREFIX, read_key
from taskmill.contracts.limits import MAX_FOUND_KEYS
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.domain.callers import Caller, Monotonic
from taskmill.runtime.clock import Clock, utc_now

MAX_AGE_SECONDS = 0.9
"""How long it is believed what the store said, from the moment on when it was asked."""

FOLLOWED_AGE_SECONDS = 2.0
"""A key that is used by open streams only is asked for so often."""

UNHEARD_SECONDS = 30.0
"""Streams end whose key the store says nothing of for so long."""

FORGOTTEN_AFTER_SECONDS = 60.0
"""A key that is not used is forgotten."""

ASK_SECONDS = 2.0
"""How long the store may take to say what it knows."""

MAX_ASKED_FOR = 1_000
"""So many keys that are not known here may wait to be asked for: beyond it requests are refused."""

MAX_UNKNOWN = 1_000
"""So many keys are remembered that the store does not know, for as long as what it says of a key is believed."""


class _Entry:
    """A key that can be used."""

    __slots__ = ("asked_at", "caller", "digest")

    def __init__(self, caller: Caller, digest: str, asked_at: float) -> None:
        self.caller = caller
        self.digest = digest
        self.asked_at = asked_at


class KeyRing:
    """The keys that are used here.

    Args:
        store: Knows all.
        clock: Tells seconds, monotonic.
        now: Tells the time, which keys expire by.

    Attributes:
        used: Set when a key is used; to be cleared by who looks after them.
    """

    def __init__(self, store: Store, *, clock: Monotonic = time.monotonic, now: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._now = now
        self._entries: dict[str, _Entry] = {}
        # Which were revoked here, and when: of late.
        self._revoked: dict[str, float] = {}
        # Of those that nobody has, when the store was asked.
        self._unknown: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._waiting: list[str] = []
        self._asker: asyncio.Task[None] | None = None
        self.used = asyncio.Event()

    @property
    def is_followed(self) -> bool:
        """Whether any key has streams open."""
        return any(entry.caller.followers for entry in self._entries.values())

    async def caller(self, text: str) -> Caller | None:
        """Who has a key; None: nobody, whatever the reason.

        Raises:
            UnavailableError: The store cannot be asked.
            RemoteError: It answered with an error.
        """
        parts = read_key(text)
        if parts is None:
            return None
        entry = self._entries.get(parts.id)
        if entry is None or entry.caller.valid_until <= self._clock():
            await self._ask_once(parts.id)
            entry = self._entries.get(parts.id)
        if entry is None or not hmac.compare_digest(entry.digest, parts.digest):
            return None
        return entry.caller

    def revoke(self, key_id: str) -> None:
        """Believe nothing of a key any more, for it is revoked: its streams end."""
        self._revoked[key_id] = self._clock()
        self._end(key_id)

    def _end(self, key_id: str) -> None:
        entry = self._entries.pop(key_id, None)
        if entry is not None:
            entry.caller.end()

    async def are_there_any(self) -> bool:
        """Whether any key can be used, here or elsewhere.

        Raises:
            UnavailableError: The store cannot be asked.
            RemoteError: It answered with an error.
        """
        wanted = ListApiKeys(is_usable=True, limit=1)
        reply = await self._store.ask(registry.LIST_KEYS, wanted, timeout_seconds=ASK_SECONDS)
        return bool(ApiKeyPage.model_validate_json(reply.body).items)

    async def refresh(self) -> None:
        """Ask for the keys that were used since, or have streams open, and forget those that are not used."""
        now = self._clock()
        self._revoked = {key: at for key, at in self._revoked.items() if now - at < FORGOTTEN_AFTER_SECONDS}
        due: list[str] = []
        for key_id, entry in list(self._entries.items()):
            age = now - entry.asked_at
            if entry.caller.is_used or (entry.caller.followers and age >= FOLLOWED_AGE_SECONDS):
                due.append(key_id)
            elif age >= FORGOTTEN_AFTER_SECONDS and not entry.caller.followers:
                del self._entries[key_id]
        for start in range(0, len(due), MAX_FOUND_KEYS):
            try:
                await self._ask(due[start : start + MAX_FOUND_KEYS])
            except TaskmillError:
                # Of those behind them nothing is heard either.
                self._end_unheard(due[start:])
                raise

    def _end_unheard(self, key_ids: Sequence[str]) -> None:
        oldest = self._clock() - UNHEARD_SECONDS
        for key_id in key_ids:
            entry = self._entries.get(key_id)
            if entry is not None and entry.asked_at < oldest:
                self._end(key_id)

    async def _ask_once(self, key_id: str) -> None:
        """Ask for a key, or wait for the answer that somebody else waits for already.

        One request at a time asks for all that wait: keys that somebody makes up do not cost the store one each.
        """
        if self._clock() < self._unknown.get(key_id, float("-inf")) + MAX_AGE_SECONDS:
            return
        asking = self._asking.get(key_id)
        if asking is None:
            if len(self._asking) >= MAX_ASKED_FOR:
                raise OverloadedError
            asking = self._asking[key_id] = asyncio.get_running_loop().create_future()
            self._waiting.append(key_id)
            if self._asker is None or self._asker.done():
                self._asker = asyncio.create_task(self._ask_for_waiting())
        # Who gives up leaves the others their answer.
        await asyncio.shield(asking)

    async def _ask_for_waiting(self) -> None:
        while self._waiting:
            part, self._waiting = self._waiting[:MAX_FOUND_KEYS], self._waiting[MAX_FOUND_KEYS:]
            error: Exception | None = None
            try:
                await self._ask(part)
            except Exception as raised:
                error = raised
            for asking in [self._asking.pop(key_id) for key_id in part]:
                if error is None:
                    asking.set_result(None)
                else:
                    asking.set_exception(error)
                    # Told to those who wait, if any still do.
                    asking.exception()

    async def _ask(self, key_ids: Sequence[str]) -> None:
        used = [key_id for key_id in key_ids if key_id in self._entries and self._entries[key_id].caller.is_used]
        asked_at = self._clock()
        reply = await self._store.ask(
            registry.FIND_KEYS, FindApiKeys(ids=list(key_ids), used=used), timeout_seconds=ASK_SECONDS
        )
        for key_id in used:
            if key_id in self._entries:
                self._entries[key_id].caller.is_used = False
        found = {key.id: key for key in FoundApiKeys.model_validate_json(reply.body).keys}
        for key_id in key_ids:
            if key_id in found:
                self._note(found[key_id], asked_at)
            else:
                self._end(key_id)
                self._note_unknown(key_id, asked_at)

    def _note_unknown(self, key_id: str, asked_at: float) -> None:
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown[key_id] = asked_at

    def _note(self, key: FoundApiKey, asked_at: float) -> None:
        if asked_at <= self._revoked.get(key.id, float("-inf")):
            # What the store said before somebody had it revoked here.
            return
        ends_at = asked_at + self._remaining_seconds(key.expires_at)
        entry = self._entries.get(key.id)
        if entry is None:
            entry = _Entry(Caller(f"key:{key.id}", key.scopes, ends_at=ends_at), key.digest, asked_at)
            self._entries[key.id] = entry
        entry.asked_at = asked_at
        entry.caller.valid_until = min(asked_at + MAX_AGE_SECONDS, ends_at)

    def _remaining_seconds(self, expires_at: datetime | None) -> float:
        return float("inf") if expires_at is None else (expires_at - self._now()).total_seconds()


def is_key(text: str) -> bool:
    """Whether a text means to be an API key."""
    return text.startswith(KEY_PREFIX)
