import time

import pytest

from taskmill.gateway.api.media_ranges import is_preferred

STREAM = "text/event-stream"


@pytest.mark.parametrize(
    "accept",
    [
        STREAM,
        "Text/Event-Stream",
        f"{STREAM};q=0.5",
        f"{STREAM} ; Q = 0.001",
        f"{STREAM};charset=utf-8",
        f"{STREAM}, */*;q=0.1",
        f"application/json, {STREAM}",
        f"application/json;q=0.5, {STREAM};q=0.5",
        f"*/*, application/json;q=0.2, {STREAM};q=0.3",
        f"text/html, , {STREAM}",
        f'text/html;title="a, b; q=0", {STREAM}',
        f"{STREAM};q=0, {STREAM}",
    ],
)
def test_who_names_it_gets_it(accept: str) -> None:
    """However it is written, and beside what is wanted less."""
    assert is_preferred(accept, STREAM, "application/json")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "text/*",
        "application/json",
        f"{STREAM};q=0",
        f"{STREAM};q=0.000",
        f"{STREAM};q=2",
        f"{STREAM};q=x",
        f"{STREAM};q=",
        f"x{STREAM}",
        f"{STREAM}s",
        f"{STREAM}/x",
        f'text/html;title="{STREAM}, {STREAM}"',
        f'text/html;title=", {STREAM}',
        f"application/json, {STREAM};q=0.9",
        f"application/*, {STREAM};q=0.9",
        f"*/*, {STREAM};q=0.9",
    ],
)
def test_nobody_else_does(accept: str | None) -> None:
    """Not who does not want it, wants something else rather, or whose header only looks like it."""
    assert not is_preferred(accept, STREAM, "application/json")


@pytest.mark.parametrize("part", ['"', '"\\', '\\"', '"\\"', ",", ";", " ", "q=", 'a="', ";q=1,"])
def test_no_header_takes_long(part: str) -> None:
    """Whatever it repeats, however often."""
    started_at = time.monotonic()
    is_preferred(part * 30_000, STREAM, "application/json")
    assert time.monotonic() - started_at < 1
