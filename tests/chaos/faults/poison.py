"""Tasks that no processor can do: they end it, never return, or return what cannot be stored."""

import asyncpg

from tests.chaos.faults.fault import FaultMissedError, Scene
from tests.chaos.handlers import POISON
from tests.support.eventually import eventually

_TIMEOUT_SECONDS = 2
_ENDED_WITHIN_SECONDS = 120


async def poison(scene: Scene) -> str:
    """Only these fail, each for its own reason; the fault lasts until they have, for until then processors die."""
    ids = [
        await scene.client.create(
            {
                "kind": kind,
                "process": True,
                "labels": {"fails_with": code},
                **({"timeout_seconds": _TIMEOUT_SECONDS} if code == "timeout" else {}),
            }
        )
        for kind, code in POISON.items()
    ]
    connection = await asyncpg.connect(scene.stack.postgres.url)
    try:

        async def has_ended() -> bool:
            unfinished = "SELECT count(*) FROM tasks WHERE id = ANY($1::uuid[]) AND status <> 'failed'"
            return bool(await connection.fetchval(unfinished, ids) == 0)

        await eventually(has_ended, within_seconds=_ENDED_WITHIN_SECONDS, every_seconds=0.2)
    except AssertionError:
        raise FaultMissedError(f"not all of it has failed within {_ENDED_WITHIN_SECONDS} s") from None
    finally:
        await connection.close()
    return ", ".join(POISON)
