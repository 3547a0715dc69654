"""Follows the tasks of a Taskmill over NATS, without a gap, and prints each event as a line of JSON.

TASKMILL_NATS_URL=nats://reader:reader@127.0.0.1:4222 python follow.py <file for the position> [<kind>]
"""

import asyncio
import json
import sys
from pathlib import Path

from taskmill.sdk.subscribing import GapError, Subscriber


async def follow(position_file: Path, kind: str | None) -> None:
    """Print what happened since the last time, and then what happens."""
    position = int(position_file.read_text()) if position_file.exists() else 0
    async with Subscriber(name="example", kind=kind) as subscriber:
        async for event in subscriber.events(after=position):
            print(json.dumps({"position": event.position, "event": event.fields}), flush=True)
            # Only now: should this program die before, the event comes once more.
            store(position_file, event.position)


def store(position_file: Path, position: int) -> None:
    """Write the position down in one step: who is killed meanwhile has the old one or the new one."""
    new = position_file.with_name(f"{position_file.name}.new")
    new.write_text(str(position))
    new.replace(position_file)


if __name__ == "__main__":
    try:
        asyncio.run(follow(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
    except GapError as error:
        # Nobody has these events any more. Whoever can do without them goes on behind `error.resume_after`.
        sys.exit(f"gap: {error}")
    except KeyboardInterrupt:
        pass
