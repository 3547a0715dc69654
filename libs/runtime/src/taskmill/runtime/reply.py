"""What a request is answered with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """What a request is answered with.

    Attributes:
        body: What it says.
        headers: What else is to be known of it, by name. `Content-Encoding` is not for handlers to set.
    """

    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
