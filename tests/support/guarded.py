"""A running gateway that needs credentials, and who has them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Guarded:
    """A running gateway that needs credentials.

    Attributes:
        client: Brings no credentials by itself.
        admin: The headers of who may do everything.
    """

    client: httpx.AsyncClient
    admin: dict[str, str]

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as who may do everything."""
        return await self.client.request(method, path, headers={**self.admin, **options.pop("headers", {})}, **options)

    async def made_key(self, scopes: Sequence[str], **fields: Any) -> dict[str, Any]:
        """Make a key with these scopes; as its creation answers."""
        answer = await self.ask("POST", "/keys", json={"name": "made", "scopes": list(scopes), **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def bearer(self, *scopes: str) -> dict[str, str]:
        """The headers of who has a new key with these scopes."""
        return bearer((await self.made_key(scopes))["key"])


def bearer(key: str) -> dict[str, str]:
    """The headers of who has a key."""
    return {"Authorization": f"Bearer {key}"}


Start = Callable[..., Awaitable[Guarded]]
"""Starts a gateway with the settings that it is given."""
