"""Reading the body of a response that may be huge, compressed, or no text at all."""

import codecs
import re
import zlib
from typing import TYPE_CHECKING

from taskmill.processor.errors import UnreadableBodyError

if TYPE_CHECKING:
    import httpx

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32

# U+0000 cannot be stored, and each of the others takes six bytes in JSON.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


_CHARSETS = re.compile("ascii|utf-|iso|cp|koi8|mac|gb|big5|euc|shift|hz")


async def read_body(response: "httpx.Response", limit_bytes: int) -> tuple[bytes, bool]:
    """Read the beginning of a body; neither a huge nor a highly compressed one is ever held in memory.

    Args:
        response: A streamed response; it is not read further than necessary.
        limit_bytes: How much of the decompressed body is wanted.

    Returns:
        The beginning, and whether there is more.

    Raises:
        UnreadableBodyError: It cannot be decompressed.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    decompressor = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in {"gzip", "x-gzip", "deflate"} else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        wanted = limit_bytes + 1 - len(body)
        try:
            body += chunk[:wanted] if decompressor is None else decompressor.decompress(chunk, wanted)
        except zlib.error as error:
            raise UnreadableBodyError from error
        if len(body) > limit_bytes:
            return bytes(body[:limit_bytes]), True
    return bytes(body), False


def body_text(body: bytes, charset: str | None, *, is_truncated: bool) -> str:
    """Decode a body; what is no text becomes U+FFFD.

    Args:
        body: The bytes.
        charset: What the response says it is; None or unknown: UTF-8.
        is_truncated: Whether the last character may be incomplete; it is then left out.
    """
    try:
        text = _decode(body, charset or "utf-8", is_truncated=is_truncated)
    except (LookupError, ValueError):
        text = _decode(body, "utf-8", is_truncated=is_truncated)
    return _CONTROL_CHARACTERS.sub("\ufffd", text).encode("utf-8", "replace").decode()


def _decode(body: bytes, charset: str, *, is_truncated: bool) -> str:
    # Python has codecs that are none of a page's, among them punycode, which takes a second for 64 KiB of digits.
    if not _CHARSETS.match(codecs.lookup(charset).name):
        raise LookupError
    decoder = codecs.getincrementaldecoder(charset)(errors="replace")
    return decoder.decode(body, final=not is_truncated)
