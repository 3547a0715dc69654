"""Ask a service whether it is ready, over HTTP."""

import asyncio
import http.client
from urllib.parse import urlsplit

_ANSWER_WITHIN_SECONDS = 2.0


async def is_ready(url: str) -> bool:
    """Tell whether `GET /readyz` of a gateway is answered by 200. No answer within 2 s means no.

    Args:
        url: Where it is, such as `http://127.0.0.1:8000`.
    """
    return await asyncio.to_thread(_is_ready, url)


def _is_ready(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_ANSWER_WITHIN_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
