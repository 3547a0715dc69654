"""Bodies of POST /tasks that must be refused, each with the status and the code of its answer."""

import json
from typing import Any, NamedTuple

from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_INTEGER, MAX_JSON_DEPTH, MAX_PAYLOAD_BYTES

SECRET = "hunter2-do-not-repeat-me"


class BadBody(NamedTuple):
    """A body that must be refused.

    Attributes:
        name: What is wrong with it.
        body: The body.
        status: The status of the answer.
        code: The code of the answer.
        pointer: Where the first of `errors` points to; None: there are none.
    """

    name: str
    body: bytes
    status: int = 422
    code: str = "invalid_request"
    pointer: str | None = None


def nested(levels: int) -> list[Any]:
    """A value of nested arrays."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def payload_of_size(size_bytes: int) -> str:
    """A string that is this large as JSON."""
    return "x" * (size_bytes - 2)


def body_of_size(size_bytes: int) -> bytes:
    """A valid body that is this large, thanks to white space."""
    body = b'{"title": "large"}'
    return body + b" " * (size_bytes - len(body))


def _unkept(name: str, body: str | bytes) -> BadBody:
    return BadBody(name, body.encode() if isinstance(body, str) else body, 400, "invalid_json")


def _unfit(name: str, pointer: str, **fields: Any) -> BadBody:
    return BadBody(name, json.dumps({"title": "a title", **fields}).encode(), pointer=pointer)


BAD_BODIES = [
    _unkept("nothing", ""),
    _unkept("no JSON", f"title={SECRET}"),
    _unkept("half an object", f'{{"title": "{SECRET}"'),
    _unkept("two documents", f'{{"title": "{SECRET}"}} {{}}'),
    _unkept("single quotes", f"{{'title': '{SECRET}'}}"),
    _unkept("a trailing comma", f'{{"title": "{SECRET}",}}'),
    _unkept("a byte order mark", b'\xef\xbb\xbf{"title": "a title"}'),
    _unkept("UTF-16", f'{{"title": "{SECRET}"}}'.encode("utf-16")),
    _unkept("no UTF-8", b'{"title": "\xff\xfe"}'),
    _unkept("overlong UTF-8", b'{"title": "\xc0\x80"}'),
    _unkept("a raw NUL", b'{"title": "a\x00b"}'),
    _unkept("NUL in the title", rf'{{"title": "{SECRET}\u0000"}}'),
    _unkept("NUL in the description", rf'{{"title": "t", "description": "\u0000{SECRET}"}}'),
    _unkept("NUL in the payload", rf'{{"title": "t", "payload": {{"a": ["\u0000{SECRET}"]}}}}'),
    _unkept("NUL in a name in the payload", rf'{{"title": "t", "payload": {{"\u0000{SECRET}": 1}}}}'),
    _unkept("NUL in a label's value", rf'{{"title": "t", "labels": {{"a": "\u0000{SECRET}"}}}}'),
    _unkept("NUL in a label's key", rf'{{"title": "t", "labels": {{"\u0000{SECRET}": "a"}}}}'),
    _unkept("a lone high surrogate", rf'{{"title": "{SECRET}\ud800"}}'),
    _unkept("a lone low surrogate in the payload", rf'{{"title": "t", "payload": ["\udc00{SECRET}"]}}'),
    _unkept("a surrogate as UTF-8", b'{"title": "\xed\xa0\x80"}'),
    _unkept("NaN", '{"title": "t", "payload": NaN}'),
    _unkept("infinity", '{"title": "t", "payload": [Infinity]}'),
    _unkept("minus infinity", '{"title": "t", "payload": {"a": -Infinity}}'),
    _unkept("a number that is infinite as a double", '{"title": "t", "payload": 1e400}'),
    _unkept("a long number that is infinite as a double", f'{{"title": "t", "payload": {"9" * 400}.0}}'),
    _unkept("an integer of more than 64 bits", f'{{"title": "t", "payload": {MAX_INTEGER + 1}}}'),
    _unkept("a negative integer of more than 64 bits", f'{{"title": "t", "payload": [{-MAX_INTEGER - 2}]}}'),
    _unkept("an integer of a thousand digits", f'{{"title": "t", "payload": {"1" * 1000}}}'),
    _unkept("a payload nested a hundred thousand deep", '{"title": "t", "payload": ' + "[" * 100_000),
    _unkept("a payload nested a hundred deep", '{"title": "t", "payload": ' + "[" * 100 + "]" * 100 + "}"),
    _unfit("a unique key with a slash", "/unique/key", unique={"key": f"a/{SECRET}"}),
    _unfit("a unique key that is debounced for no time", "/unique", unique={"key": "k", "on_conflict": "debounce"}),
    _unfit("a wait without debounce", "/unique", unique={"key": "k", "debounce_seconds": 5}),
    _unfit("a payload nested too deeply", "/payload", payload=nested(MAX_JSON_DEPTH + 1)),
    BadBody("an array", b'[{"title": "t"}]', pointer=""),
    BadBody("a string", f'"{SECRET}"'.encode(), pointer=""),
    BadBody("null", b"null", pointer=""),
    BadBody("no title", b'{"payload": 1}', pointer="/title"),
    _unfit("an empty title", "/title", title=""),
    _unfit("a long title", "/title", title=SECRET * 10),
    _unfit("a title of null", "/title", title=None),
    _unfit("a title that is a number", "/title", title=5),
    _unfit("a long description", "/description", description=SECRET + "x" * 10_000),
    _unfit("a description that is a list", "/description", description=[SECRET]),
    _unfit("an unknown priority", "/priority", priority=SECRET),
    _unfit("a priority of null", "/priority", priority=None),
    _unfit("a kind with a dot", "/kind", kind="a.b"),
    _unfit("a kind with a wildcard", "/kind", kind=">"),
    _unfit("a kind in capitals", "/kind", kind="Echo"),
    _unfit("an empty kind", "/kind", kind=""),
    _unfit("a long kind", "/kind", kind="k" * 65),
    _unfit("a kind with a line's end", "/kind", kind="echo\n"),
    _unfit("a queue with a space", "/queue", queue="my queue"),
    _unfit("a queue with a wildcard", "/queue", queue="*"),
    _unfit("a queue in Greek", "/queue", queue="ουρά"),
    _unfit("labels that are a list", "/labels", labels=[SECRET]),
    _unfit("too many labels", "/labels", labels={f"label-{number}": "" for number in range(33)}),
    _unfit("a label without a key", "/labels", labels={"": "a"}),
    _unfit("a label with a bad key", "/labels", labels={SECRET + " !": "a"}),
    _unfit("a label with a long key", "/labels", labels={SECRET * 4: "a"}),
    _unfit("a label that is a number", "/labels/team", labels={"team": 5}),
    _unfit("a long label", "/labels/team", labels={"team": SECRET * 10}),
    _unfit("a word for process", "/process", process="yes"),
    _unfit("a number for process", "/process", process=1),
    _unfit("no attempts", "/max_attempts", max_attempts=0),
    _unfit("too many attempts", "/max_attempts", max_attempts=101),
    _unfit("half an attempt", "/max_attempts", max_attempts=1.5),
    _unfit("a backoff that is a number", "/backoff", backoff=5),
    _unfit("a backoff that shrinks", "/backoff/factor", backoff={"factor": 0.5}),
    _unfit("a negative backoff", "/backoff/base_seconds", backoff={"base_seconds": -1}),
    _unfit("a backoff of a year", "/backoff/cap_seconds", backoff={"cap_seconds": 366 * 24 * 3600}),
    _unfit("more jitter than there is", "/backoff/jitter", backoff={"jitter": 1.1}),
    _unfit("an unknown part of a backoff", "/backoff/speed", backoff={"speed": SECRET}),
    _unfit("a timeout of nothing", "/timeout_seconds", timeout_seconds=0),
    _unfit("a timeout of a year", "/timeout_seconds", timeout_seconds=366 * 24 * 3600),
    _unfit("a timeout in words", "/timeout_seconds", timeout_seconds="30 s"),
    _unfit("a start without an offset", "/run_at", run_at="2026-11-24T12:00:00"),
    _unfit("a start that is a number", "/run_at", run_at=1_700_000_000),
    _unfit("a start that is a number as text", "/run_at", run_at="1700000000"),
    _unfit("a start in words", "/run_at", run_at=SECRET),
    _unfit("a start before all time", "/run_at", run_at="0001-01-01T00:00:00+14:00"),
    _unfit("a start after all time", "/run_at", run_at="9999-12-31T23:59:59-14:00"),
    _unfit("an unknown field", "/prioritaet", prioritaet=SECRET),
    _unfit("an unknown field with a long name", "", **{SECRET * 4: 1}),
    _unfit("an id of the client's", "/id", id="01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"),
    _unfit("a status", "/status", status="completed"),
    BadBody(
        "a large payload",
        json.dumps({"title": "t", "payload": payload_of_size(MAX_PAYLOAD_BYTES + 1)}).encode(),
        413,
        "payload_too_large",
        "/payload",
    ),
    BadBody("a large body", body_of_size(MAX_BODY_BYTES + 1), 413, "payload_too_large"),
]
