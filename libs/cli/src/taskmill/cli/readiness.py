"""Ask a service whether it is ready, over HTTP."""

import asyncio
import http.client

_ANSWER_WITHIN_SECONDS = 2.0


async def is_ready(host: str, port: int) -> bool:
    """Tell whether `GET /readyz` is answered by 200. No answer within 2 s means no."""
    return await asyncio.to_thread(_is_ready, host, port)


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_WITHIN_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
