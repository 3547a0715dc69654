"""A look at this machine: the disk of the data, and the port of the gateway."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from taskmill.cli.diagnosis.addresses import Addresses
from taskmill.cli.diagnosis.remark import Remark, fail, ok, skip, warn
from taskmill.cli.embedded.ports import bind_once
from taskmill.cli.nats_address import without_credentials
from taskmill.cli.settings import StackSettings
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_GIB = 1024**3
FULL_BYTES = _GIB // 10
SCARCE_BYTES = _GIB


def look_at_machine(addresses: Addresses, gateway_url: str | None = None) -> Iterator[Remark]:
    """Look at this machine.

    Args:
        addresses: Where things are, or should be.
        gateway_url: Where a gateway has answered; None: none has.
    """
    yield from _disk(addresses.data_dir)
    yield _port(addresses, gateway_url)


def _disk(data_dir: Path) -> Iterator[Remark]:
    if not data_dir.is_dir():
        yield skip("disk", f"there is no directory {data_dir}", "If `taskmill up` keeps data elsewhere: TASKMILL_DATA")
        return
    free = shutil.disk_usage(data_dir).free
    yield judge_disk(str(data_dir), free)


def judge_disk(directory: str, free_bytes: int) -> Remark:
    """Say whether there is room for data."""
    found = f"{free_bytes / _GIB:.1f} GiB free in {directory}"
    advice = "Make room, or have old tasks and events removed (TASKMILL_RETENTION_…, docs/operations.md)"
    if free_bytes < FULL_BYTES:
        return fail("disk", found, advice)
    return warn("disk", found, advice) if free_bytes < SCARCE_BYTES else ok("disk", found)


def _port(addresses: Addresses, gateway_url: str | None) -> Remark:
    if "gateway" in addresses.stack:
        return ok(
            "ports",
            ", ".join(f"{one.name} at {without_credentials(one.url)}" for one in addresses.stack.values() if one.url),
        )
    try:
        settings = load(StackSettings)
    except SettingsError as error:
        # It may be one of docker-compose.yml, where TASKMILL_PORT may be a range.
        return warn(
            "ports", f"`taskmill up` could not start with these settings: {error}", "Mend them for `taskmill up`"
        )
    host, port = settings.host, settings.port
    if gateway_url is not None and _is_at(gateway_url, host, port):
        return ok("ports", f"{host} port {port} is that of the gateway, started elsewhere")
    try:
        bind_once(host, port)
    except OSError as error:
        return warn(
            "ports",
            f"`taskmill up` could not listen on {host} port {port}: {error.strerror}",
            "If you want to start it here: set TASKMILL_PORT to a free one",
        )
    return ok("ports", f"{host} port {port} is free for `taskmill up`")


def _is_at(gateway_url: str, host: str, port: int) -> bool:
    """Whether a gateway is where `taskmill up` would listen here."""
    parts = urlsplit(gateway_url)
    asked = parts.port or (443 if parts.scheme == "https" else 80)
    return asked == port and parts.hostname in {*_THIS_MACHINE, host}
