"""OWASP API2: what is no valid credential opens nothing. Within a second: `integration/gateway/test_auth.py`."""

from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from tests.support.eventually import holds
from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded, bearer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def check_refused(client: httpx.AsyncClient, key: str) -> None:
    """Check that a key opens nothing."""
    assert_problem(await client.get("/tasks", headers=bearer(key)), 401, "unauthenticated")


async def test_a_key_opens_nothing_once_it_has_expired(guarded: Guarded) -> None:
    """It did before."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    key = (await guarded.made_key(["tasks:read"], expires_at=soon))["key"]
    assert (await guarded.client.get("/tasks", headers=bearer(key))).status_code == 200
    await holds(partial(check_refused, guarded.client, key))


async def test_a_key_opens_nothing_once_it_is_revoked(guarded: Guarded) -> None:
    """It did before, and its own right to make keys does not bring it back."""
    made = await guarded.made_key(["tasks:read", "keys:admin"])
    assert (await guarded.client.get("/tasks", headers=bearer(made["key"]))).status_code == 200
    revoked = await guarded.client.post(f"/keys/{made['id']}/revoke", headers=bearer(made["key"]))
    assert revoked.status_code == 200
    await check_refused(guarded.client, made["key"])


async def test_no_key_is_made_of_parts_of_others(guarded: Guarded) -> None:
    """Each character counts, and a secret opens only with the id that it was made with."""
    one, other = [(await guarded.made_key(["tasks:read"]))["key"] for _ in range(2)]
    _, one_id, one_secret, one_check = one.split("_")
    _, other_id, other_secret, other_check = other.split("_")
    wrong = [
        f"tm_{one_id}_{other_secret}_{one_check}",
        f"tm_{one_id}_{other_secret}_{other_check}",
        f"tm_{other_id}_{one_secret}_{other_check}",
        *(one[:at] + ("A" if one[at] != "A" else "B") + one[at + 1 :] for at in (3, 25, len(one) - 1)),
    ]
    for key in wrong:
        await check_refused(guarded.client, key)


async def test_a_key_anywhere_but_in_its_header_is_none(guarded: Guarded) -> None:
    """Not in the URL, a cookie, another header, or a user's name."""
    key = (await guarded.made_key(["tasks:read"]))["key"]
    for options in (
        {"params": {"api_key": key}},
        {"params": {"access_token": key}},
        {"headers": {"Cookie": f"Authorization=Bearer {key}"}},
        {"headers": {"X-Api-Key": key}},
        {"headers": {"Proxy-Authorization": f"Bearer {key}"}},
        {"auth": (key, "")},
    ):
        answer = await guarded.client.get("/tasks", **options)
        assert_problem(answer, 401, "unauthenticated")
        assert key not in answer.text
