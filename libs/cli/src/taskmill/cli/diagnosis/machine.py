"""A look at this machine: the disk of the data, and the port of the gateway."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from taskmill.cli.diagnosis.addresses import Addresses
from taskmill.cli.diagnosis.remark import Remark, fail, ok, skip, warn
from taskmill.cli.embedded.ports import bind_once

_GIB = 1024**3
FULL_BYTES = _GIB // 10
SCARCE_BYTES = _GIB


def look_at_machine(addresses: Addresses) -> Iterator[Remark]:
    """Look at this machine."""
    yield from _disk(addresses.data_dir)
    yield _port(addresses)


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


def _port(addresses: Addresses) -> Remark:
    if "gateway" in addresses.stack:
        return ok(
            "ports", ", ".join(f"{one.name} at {_public(one.url)}" for one in addresses.stack.values() if one.url)
        )
    try:
        bind_once(addresses.host, addresses.port)
    except OSError as error:
        return warn(
            "ports",
            f"`taskmill up` could not listen on {addresses.host} port {addresses.port}: {error.strerror}",
            "If you want to start it here: set TASKMILL_PORT to a free one",
        )
    return ok("ports", f"{addresses.host} port {addresses.port} is free for `taskmill up`")


def _public(url: str) -> str:
    """An address without user and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
