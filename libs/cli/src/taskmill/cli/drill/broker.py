"""What JetStream holds, and the loss of it."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import nats
import nats.errors

from taskmill.cli.drill.errors import BrokerAwayError, StreamsNotBackError
from taskmill.cli.embedded.nats import JETSTREAM_DIRECTORY
from taskmill.contracts.streams import EVENTS_STREAM, REPORTS_STREAM, WORK_STREAM

_CONNECT_SECONDS = 2
_POLL_SECONDS = 0.1

_OWN_STREAMS = frozenset({WORK_STREAM, REPORTS_STREAM, EVENTS_STREAM})


class StreamContent(NamedTuple):
    """One stream at one moment."""

    created_at: str
    """Another text under the same name is another stream."""

    messages: int


class Broker:
    """A nats-server on this machine, and what JetStream keeps there.

    Args:
        url: Where clients connect.
        pid: The process that is to be killed.
        directory: Where it keeps everything.
    """

    def __init__(self, url: str, pid: int, directory: Path) -> None:
        self._url = url
        self._pid = pid
        self._directory = directory

    def look(self) -> dict[str, StreamContent]:
        """Return every stream, by name.

        Raises:
            BrokerAwayError: The server cannot be reached, or JetStream is not ready.
        """
        try:
            return asyncio.run(_streams(self._url))
        except (OSError, nats.errors.Error) as error:
            raise BrokerAwayError(self._url) from error

    def lose_everything(self) -> None:
        """Kill the server together with everything that JetStream keeps.

        Whoever starts it again finds all of the directory or none of it: the server is frozen before the directory is
        moved out of its way, and never runs again after that.

        Raises:
            OSError: The server is gone, or belongs to somebody else; or its files cannot be moved: then it is killed
                all the same, and has everything when it comes back.
        """
        kept = self._directory / JETSTREAM_DIRECTORY
        lost = kept.with_name(f"{JETSTREAM_DIRECTORY}.lost")
        shutil.rmtree(lost, ignore_errors=True)
        os.kill(self._pid, signal.SIGSTOP)
        try:
            kept.rename(lost)
        finally:
            os.kill(self._pid, signal.SIGKILL)
        shutil.rmtree(lost)

    def await_new_streams(self, old: dict[str, StreamContent], *, deadline: float) -> dict[str, StreamContent]:
        """Return the streams once each of Taskmill's own was made anew, which proves that the old ones were lost.

        Args:
            old: The streams before.
            deadline: Until when to wait, as `time.monotonic` counts.

        Raises:
            StreamsNotBackError: They were not made anew in time.
        """
        while time.monotonic() < deadline:
            with contextlib.suppress(BrokerAwayError):
                streams = self.look()
                if all(_is_made_anew(name, old, streams) for name in _OWN_STREAMS):
                    return streams
            time.sleep(_POLL_SECONDS)
        raise StreamsNotBackError


def _is_made_anew(name: str, old: dict[str, StreamContent], new: dict[str, StreamContent]) -> bool:
    return name in new and (name not in old or new[name].created_at != old[name].created_at)


async def _streams(url: str) -> dict[str, StreamContent]:
    client = await nats.connect(
        url, connect_timeout=_CONNECT_SECONDS, allow_reconnect=False, max_reconnect_attempts=1, error_cb=_ignore
    )
    try:
        streams = await client.jetstream(timeout=_CONNECT_SECONDS).streams_info()
    finally:
        await client.close()
    contents = {
        str(stream.config.name): StreamContent(str(stream.created), stream.state.messages) for stream in streams
    }
    return dict(sorted(contents.items()))


async def _ignore(_: Exception) -> None:
    """What matters is raised, too."""
