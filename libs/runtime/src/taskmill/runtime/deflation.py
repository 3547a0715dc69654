"""How a large reply is made smaller."""

import zlib

from taskmill.contracts.errors import InternalError

ENCODING_HEADER = "Content-Encoding"
DEFLATE = "deflate"

DEFLATE_ABOVE_BYTES = 512 * 1024
MAX_INFLATED_BYTES = 64 * 1024 * 1024


def deflate(body: bytes) -> bytes:
    """A body as it travels with `Content-Encoding: deflate`."""
    return zlib.compress(body, 1)


def inflate(body: bytes) -> bytes:
    """What `deflate` was given.

    Raises:
        InternalError: It is not deflated, or holds more than `MAX_INFLATED_BYTES`.
    """
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error:
        raise InternalError from None
    if not inflater.eof:
        raise InternalError
    return inflated
