"""Ids of tasks that whoever makes them again comes to again, so that nothing has to be remembered of them."""

import hashlib
from uuid import UUID


def repeatable_id(milliseconds: int, name: str) -> UUID:
    """A UUID of version 7 with a digest for its random part.

    Args:
        milliseconds: Its time, since 1970.
        name: What it is the id of: the same name at the same time has the same id.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    bits = (milliseconds << 80 | int.from_bytes(digest[:10])) & ~(0xF << 76 | 0x3 << 62)
    return UUID(int=bits | 0x7 << 76 | 0x2 << 62)
