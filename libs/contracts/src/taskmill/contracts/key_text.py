"""What an API key looks like: `tm_<id>_<secret>_<check>`.

Letters, digits and `_` only, so that a double click selects all of it. The secret has 256 random bits, so that what is
kept of it can be a fast digest without a salt or a pepper (ADR 29). The check is a CRC-32 of all before it: what was
mistyped, cut or made up is refused without asking anybody, and scanners find keys that were leaked without false
alarms.
"""

import hmac
import re
import secrets
import zlib
from datetime import datetime
from typing import NamedTuple

_LOWER = "0123456789abcdefghijklmnopqrstuvwxyz"
_ALPHABET = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_TIME_CHARS = 8
_RANDOM_ID_CHARS = 8
_SECRET_CHARS = 43
_CHECK_CHARS = 6

_FORM = re.compile(
    rf"(tm_([0-9a-z]{{{_TIME_CHARS + _RANDOM_ID_CHARS}}})_([0-9A-Za-z]{{{_SECRET_CHARS}}}))"
    rf"_([0-9A-Za-z]{{{_CHECK_CHARS}}})"
)

KEY_PREFIX = "tm_"
_PURPOSE = b"taskmill api key "


class KeyText(NamedTuple):
    """A key, in the parts that are told apart."""

    id: str
    digest: str
    """What is kept of the secret: HMAC-SHA256 of the id under it, in hexadecimal."""


def new_key(now: datetime) -> str:
    """Make a key. Ids of later milliseconds are greater."""
    made_at = _in_base(int(now.timestamp() * 1000), _LOWER, _TIME_CHARS)
    key_id = made_at + "".join(secrets.choice(_LOWER) for _ in range(_RANDOM_ID_CHARS))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))
    checked = f"{KEY_PREFIX}{key_id}_{secret}"
    return f"{checked}_{_check(checked)}"


def read_key(text: str) -> KeyText | None:
    """The parts of a key; None: it is none, whatever may be kept."""
    form = _FORM.fullmatch(text)
    if form is None or _check(form[1]) != form[4]:
        return None
    digest = hmac.digest(form[3].encode(), _PURPOSE + form[2].encode(), "sha256")
    return KeyText(form[2], digest.hex())


def _check(checked: str) -> str:
    return _in_base(zlib.crc32(checked.encode()), _ALPHABET, _CHECK_CHARS)


def _in_base(number: int, digits: str, length: int) -> str:
    text = ""
    for _ in range(length):
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return text
