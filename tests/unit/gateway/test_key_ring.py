"""What a gateway believes of API keys, for how long, and how often it asks."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import OverloadedError, StoreUnavailableError, TaskmillError
from taskmill.contracts.key_text import new_key, read_key
from taskmill.contracts.limits import MAX_FOUND_KEYS
from taskmill.gateway.adapters import key_ring
from taskmill.gateway.adapters.key_ring import (
    FOLLOWED_AGE_SECONDS,
    FORGOTTEN_AFTER_SECONDS,
    MAX_AGE_SECONDS,
    UNHEARD_SECONDS,
    KeyRing,
)
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.domain.callers import Caller
from taskmill.runtime.reply import Reply
from tests.support.gateway import RememberingStore

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = new_key(NOW)


def found(**changes: Any) -> dict[str, Any]:
    """What the store finds of the key."""
    parts = read_key(KEY)
    assert parts is not None
    return {"keys": [{**parts._asdict(), "scopes": ["tasks:read", "newer:scope"], **changes}]}


class Bench:
    """A ring, its store, and the time."""

    def __init__(self) -> None:
        self.store = RememberingStore()
        self.store.answers(registry.FIND_KEYS, found())
        self.seconds = 1_000.0
        self.ring = KeyRing(Store(self.store), clock=lambda: self.seconds, now=lambda: NOW)

    @property
    def looks(self) -> int:
        """How often the store was asked for keys."""
        return len(self.store.asked)

    async def caller(self) -> Caller:
        """Who has the key, who must be let in; and that is used."""
        caller = await self.ring.caller(KEY)
        assert caller is not None
        caller.is_used = True
        return caller


@pytest.fixture
def bench() -> Bench:
    """A new one."""
    return Bench()


async def test_a_key_is_asked_for_once_and_then_believed_for_less_than_a_second(bench: Bench) -> None:
    """From the moment on when the store was asked."""
    caller = await bench.caller()
    assert caller.name == f"key:{KEY.split('_')[1]}"
    assert caller.scopes == {"tasks:read", "newer:scope"}
    bench.seconds += MAX_AGE_SECONDS - 0.01
    assert await bench.caller() is caller
    assert bench.looks == 1
    bench.seconds += 0.01
    assert await bench.caller() is caller
    assert bench.looks == 2
    assert MAX_AGE_SECONDS < 1


async def test_a_key_in_use_is_asked_for_beside_the_requests(bench: Bench) -> None:
    """And the store hears that it was used; one that was not used since is not asked for, and forgotten in the end."""
    caller = await bench.caller()
    bench.seconds += 0.4
    await bench.ring.refresh()
    assert caller.valid_until == bench.seconds + MAX_AGE_SECONDS
    assert bench.store.asked[-1][1]["used"] == [KEY.split("_")[1]]
    bench.seconds += 0.4
    await bench.ring.refresh()
    assert bench.looks == 2
    bench.seconds += FORGOTTEN_AFTER_SECONDS
    await bench.ring.refresh()
    await bench.caller()
    assert bench.store.asked[-1][1]["used"] == []


async def test_many_who_come_at_once_ask_once(bench: Bench) -> None:
    """A key that many use must not be asked for by each of them."""
    callers = await asyncio.gather(*(bench.ring.caller(KEY) for _ in range(50)))
    assert len({id(caller) for caller in callers}) == 1
    assert bench.looks == 1


async def test_keys_that_somebody_makes_up_are_asked_for_in_bounded_number(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it who comes with another is refused, and keys that are known are not."""
    caller = await bench.caller()
    monkeypatch.setattr(key_ring, "MAX_ASKED_FOR", 2)
    answer = asyncio.Event()

    async def slow(*_: object, **__: object) -> Reply:
        await answer.wait()
        return Reply(b'{"keys":[]}')

    monkeypatch.setattr(bench.store, "request", slow)
    waiting = [asyncio.ensure_future(bench.ring.caller(new_key(NOW))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await bench.ring.caller(new_key(NOW))
    assert await bench.ring.caller(KEY) is caller
    answer.set()
    assert await asyncio.gather(*waiting) == [None, None]


async def test_keys_that_somebody_makes_up_are_asked_for_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request at a time asks for all that came meanwhile; and not again for those that nobody has."""
    asked: list[int] = []
    answers = asyncio.Queue[Exception | None]()

    async def slow(_subject: str, body: bytes, **_: object) -> Reply:
        asked.append(len(json.loads(body)["ids"]))
        if (error := await answers.get()) is not None:
            raise error
        return Reply(b'{"keys":[]}')

    monkeypatch.setattr(bench.store, "request", slow)
    made_up = [new_key(NOW) for _ in range(1 + MAX_FOUND_KEYS + 7)]
    waiting = [asyncio.ensure_future(bench.ring.caller(made_up[0]))]
    await asyncio.sleep(0.01)
    waiting += [asyncio.ensure_future(bench.ring.caller(key)) for key in made_up[1:]]
    for error in (None, StoreUnavailableError(), None):
        answers.put_nowait(error)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert asked == [1, MAX_FOUND_KEYS, 7]
    assert [who is None for who in told] == [True, *[False] * MAX_FOUND_KEYS, *[True] * 7]
    assert all(isinstance(who, StoreUnavailableError) for who in told if who is not None)
    assert await bench.ring.caller(made_up[0]) is None
    assert len(asked) == 3
    bench.seconds += MAX_AGE_SECONDS
    answers.put_nowait(None)
    assert await bench.ring.caller(made_up[0]) is None
    assert len(asked) == 4


async def test_a_key_that_is_found_no_more_opens_nothing(bench: Bench) -> None:
    """Whether a request or the look beside it finds out; who had it is told."""
    caller = await bench.caller()
    bench.store.answers(registry.FIND_KEYS, {"keys": []})
    await bench.ring.refresh()
    assert caller.is_over
    assert caller.valid_until < bench.seconds
    assert await bench.ring.caller(KEY) is None


async def test_a_key_that_is_revoked_here_opens_nothing_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the store was asked before, and says late."""
    caller = await bench.caller()
    store = bench.store.request

    async def late(*arguments: Any, **options: Any) -> Reply:
        reply = await store(*arguments, **options)
        bench.ring.revoke(KEY.split("_")[1])
        return reply

    monkeypatch.setattr(bench.store, "request", late)
    await bench.ring.refresh()
    assert caller.is_over
    bench.store.answers(registry.FIND_KEYS, {"keys": []})
    assert await bench.ring.caller(KEY) is None


async def test_a_key_that_expires_is_believed_until_then_only(bench: Bench) -> None:
    """To the fraction of a second, and so are its streams."""
    bench.store.answers(registry.FIND_KEYS, found(expires_at=(NOW + timedelta(seconds=0.3)).isoformat()))
    caller = await bench.caller()
    assert caller.valid_until == caller.ends_at == pytest.approx(bench.seconds + 0.3)
    async with asyncio.timeout(5):
        await caller.ended(lambda: bench.seconds + 0.29)


async def test_a_store_that_is_away_has_nobody_believed_any_longer(bench: Bench) -> None:
    """Not after what it said last is old."""
    await bench.caller()
    bench.store.answers(registry.FIND_KEYS, StoreUnavailableError())
    with pytest.raises(TaskmillError):
        await bench.ring.refresh()
    await bench.caller()
    bench.seconds += MAX_AGE_SECONDS
    with pytest.raises(StoreUnavailableError):
        await bench.ring.caller(KEY)


async def test_streams_end_with_their_key_and_with_a_store_that_stays_away(bench: Bench) -> None:
    """A key that only streams use is asked for, too, less often; of one that nobody hears of they end."""
    caller = await bench.caller()
    await bench.ring.refresh()
    following = asyncio.ensure_future(caller.ended(lambda: bench.seconds))
    await asyncio.sleep(0)
    assert bench.ring.is_followed
    bench.seconds += FOLLOWED_AGE_SECONDS - 0.01
    await bench.ring.refresh()
    assert bench.looks == 2
    bench.seconds += 0.01
    await bench.ring.refresh()
    assert bench.looks == 3

    bench.store.answers(registry.FIND_KEYS, StoreUnavailableError())
    bench.seconds += UNHEARD_SECONDS
    with pytest.raises(StoreUnavailableError):
        await bench.ring.refresh()
    assert not following.done()
    bench.seconds += 0.01
    with pytest.raises(StoreUnavailableError):
        await bench.ring.refresh()
    async with asyncio.timeout(5):
        await following
    assert not bench.ring.is_followed


async def test_streams_end_of_more_keys_than_one_request_looks_for(bench: Bench) -> None:
    """When the store stays away: of those, too, that it would have been asked for next."""
    callers = []
    for _ in range(MAX_FOUND_KEYS + 1):
        text = new_key(NOW)
        parts = read_key(text)
        assert parts is not None
        bench.store.answers(registry.FIND_KEYS, {"keys": [{**parts._asdict(), "scopes": ["tasks:read"]}]})
        caller = await bench.ring.caller(text)
        assert caller is not None
        callers.append(caller)
    following = [asyncio.ensure_future(caller.ended(lambda: bench.seconds)) for caller in callers]
    await asyncio.sleep(0)
    bench.store.answers(registry.FIND_KEYS, StoreUnavailableError())
    bench.seconds += UNHEARD_SECONDS + 0.01
    with pytest.raises(StoreUnavailableError):
        await bench.ring.refresh()
    _, open_ones = await asyncio.wait(following, timeout=5)
    assert not open_ones
    assert not bench.ring.is_followed


async def test_no_secret_is_remembered(bench: Bench) -> None:
    """Neither by the ring nor in what it asks."""
    caller = await bench.caller()
    secret = KEY.split("_")[2]
    assert secret not in repr(vars(bench.ring)) + repr(caller) + repr(bench.store.asked)
