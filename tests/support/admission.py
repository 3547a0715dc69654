"""Whom NATS lets in."""

import nats.errors

from taskmill.runtime.nats_client import RawClient


async def is_let_in(nats_url: str, *, seed: str | None = None) -> bool:
    """Whether somebody with this URL, and this key, may connect, to a server that runs."""
    client = RawClient()

    async def ignore(_error: Exception) -> None:
        """It is raised, too."""

    try:
        await client.open([nats_url], name="somebody", inbox_prefix="_INBOX.somebody", on_error=ignore, seed=seed)
    except nats.errors.Error:
        return False
    finally:
        await client.abandon()
    return True
