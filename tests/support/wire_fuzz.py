"""Bytes as strangers send them: what is right, and was then spoilt in one of many ways, always the same for a seed."""

import copy
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "contract" / "golden" / "v1"

CANARY = "canary-7d1f"
"""A value in what is sent, which must not stand in what comes back when that is refused. (Names do, as pointers.)"""

_DEEP = 50_000
_LARGE = 900_000

FIXED: tuple[bytes, ...] = (
    *(b"", b" ", b"null", b"true", b"[]", b"{}", b"0", b'""', b"[[]]", b'{"":""}', b"{", b"}", b'{"a"', b"\x00"),
    *(b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"\xc3\x28", b'"\\ud800"', b'{"id":"\\u0000"}', b"NaN", b"-Infinity"),
    *(b"1e999", b"-0", b"9" * 5_000, b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * _DEEP + b"]" * _DEEP),
    *(b"x" * _LARGE, b'"' + b"x" * _LARGE + b'"', b"[" + b"0," * (_LARGE // 2) + b"0]", zlib.compress(b"{}" * 500_000)),
    *(b"PUB tasks.v1.cmd.get 2\r\n{}\r\n", b"'; DROP TABLE tasks; --", b"${jndi:ldap://x}", b"\r\n\r\n"),
)
"""What is nothing to anybody."""

HEADERS: tuple[bytes, ...] = (
    b"",
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0\r\nContent-Encoding: deflate\r\n\r\n",
    b"NATS/1.0\r\nContent-Encoding: gzip, deflate\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle: 2,2\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle: " + b"1," * 5_000 + b"1\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle: " + b"9" * 5_000 + b"\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle: -1, +1\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle: \xff\xfe\r\n\r\n",
    b"NATS/1.0\r\nTaskmill-Bundle",
    b"NATS/1.0\r\nTaskmill-Bundle: 2",
    b"NATS/1.0 503 No Responders\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
    b"NATS/1.0\r\nX: " + b"h" * 60_000 + b"\r\n\r\n",
    b"NATS/1.0\r\nX: 1\r\nX: 2\r\nx\r\n: \r\n\r\n",
    b"NATS/1.0\r\ntraceparent: " + b"\xff" * 300 + b"\r\n\r\n",
    b"NATS/1.0\r\nNats-Service-Error-Code: internal_error\r\n\r\n",
    *(b"NATS/1.0\r\nTaskmill-Position: %b\r\n\r\n" % position for position in (b"x", "²".encode(), b"9" * 5_000)),
    b"NATS/1.0\r\nNats-Sequence: x\r\nNats-Subject: x\r\n\r\n",
)
"""Header blocks, right and wrong."""

_ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        2**31,
        2**63,
        -(2**63) - 1,
        10**400,
        1.5,
        1e308,
        "",
        " ",
        CANARY,
        "\x00",
        "\ud800",
        "a" * 70_000,
    ),
    *([], {}, [None], [CANARY] * 3_000, {"odd": CANARY}, {"a": [{}] * 50}, "../../etc/passwd", "1970-01-01T00:00:00Z"),
    *(
        "9999-12-31T23:59:59.999999999+14:00",
        "00000000-0000-0000-0000-000000000000",
        "completed",
        "task.>",
        "*",
        "Ⅷ\u202e",
    ),
)


def golden(model: str) -> list[bytes]:
    """The right ones of a message, `CreateTask.json` and its variants; with nothing that would lead outside."""
    paths = [*sorted(GOLDEN.glob(f"{model}.json")), *sorted(GOLDEN.glob(f"{model}.*.json"))]
    return [path.read_bytes().replace(b"http-request", b"echo").replace(b"example.org", b"x.invalid") for path in paths]


def spoilt(right: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Bytes that were right once.

    Args:
        right: What to begin with.
        count: How many.
        seed: The same one makes the same bytes.
    """
    chance = random.Random(seed)
    for _ in range(count):
        text = chance.choice(right)
        yield chance.choice((_with_odd_values, _with_odd_values, _with_spoilt_bytes, _with_doubled_keys))(text, chance)


def _odd_value(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(_ODD_VALUES))


def _with_odd_values(text: bytes, chance: random.Random) -> bytes:
    document = json.loads(text)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return json.dumps(_odd_value(chance)).encode()
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0 if isinstance(holder, dict):
                holder[chance.choice(("odd", "", "\x00", "__proto__", "id", "k" * 500))] = _odd_value(chance)
            case 1 if isinstance(holder, dict):
                holder.pop(key, None)
            case _:
                holder[key] = _odd_value(chance)
    return json.dumps(document).encode()


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _with_spoilt_bytes(text: bytes, chance: random.Random) -> bytes:
    spoiling = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(spoiling)) if spoiling else 0
        match chance.randrange(4):
            case 0:
                spoiling[position:] = b""
            case 1:
                spoiling[position : position + 1] = bytes([chance.randrange(256)])
            case 2:
                spoiling[position:position] = chance.randbytes(chance.randint(1, 8))
            case _:
                spoiling[position:position] = spoiling[position : position + chance.randint(1, 40)]
    return bytes(spoiling)


def _with_doubled_keys(text: bytes, chance: random.Random) -> bytes:
    document = json.loads(text)
    if not isinstance(document, dict) or not document:
        return text + text
    key = chance.choice(list(document))
    odd = json.dumps({key: _odd_value(chance)}).encode()
    return (text.strip()[:-1] + b"," + odd[1:]) if chance.random() < 0.5 else (odd[:-1] + b"," + text.strip()[1:])
