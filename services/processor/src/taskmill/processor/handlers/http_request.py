"""The kind `http-request`."""

import asyncio
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic_core import PydanticCustomError

from taskmill.processor.adapters.guarded_http import MAX_REDIRECTS, GuardedHttp
from taskmill.processor.adapters.http_body import body_text, read_body
from taskmill.processor.adapters.outside import Outside
from taskmill.processor.errors import AddressRefusedError, UnreadableBodyError
from taskmill.sdk import Context, Retry, TaskApp, TaskFailedError

MAX_RESPONSE_BYTES = 64 * 1024
"""Of a response's body, this much is kept."""


def register(app: TaskApp, outside: Outside) -> None:
    """Add the kind. A request that gets no response is made again; with any, whatever its status, it is completed."""
    app.task("http-request", retry=Retry(attempts=3))(partial(http_request, outside.http))


def _is_http_url(url: str) -> str:
    # Here, because a processor that sends no requests need not hold it in memory.
    import httpx  # noqa: PLC0415

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = None
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise PydanticCustomError("url", "Input should be an absolute http or https URL")
    return url


class HttpRequestPayload(BaseModel):
    """What `http-request` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], Field(description="The HTTP method.")
    ] = "GET"
    url: Annotated[
        str,
        StringConstraints(max_length=8_192),
        AfterValidator(_is_http_url),
        Field(description="Where to: an absolute http or https URL."),
    ]
    headers: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")],
            Annotated[str, StringConstraints(pattern=r"^[\t\x20-\x7e]*$", max_length=8_192)],
        ],
        Field(max_length=64, description="Request headers."),
    ] = {}
    body: Annotated[str | None, Field(description="The request's body, sent as UTF-8.")] = None
    timeout: Annotated[
        float, Field(gt=0, le=600, description="Seconds for everything: connecting, redirects, reading.")
    ] = 30


async def http_request(http: GuardedHttp, request: HttpRequestPayload, _context: Context) -> JsonValue:
    """Send a request and return status, headers and body of the response, whatever the status.

    Up to five redirects are followed. Of the body, the first 64 KiB are returned, as text.

    Raises:
        TaskFailedError: There is no response: `timeout`, `address_refused`, `too_many_redirects`, `request_failed`.
    """
    import httpx  # noqa: PLC0415

    try:
        async with asyncio.timeout(request.timeout):
            return await _send(http, request)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise TaskFailedError("timeout", f"There was no whole response within {request.timeout:g} s.") from error
    except AddressRefusedError as error:
        raise TaskFailedError(
            "address_refused",
            "The address is not public; where that is wanted, TASKMILL_HTTP_ALLOW_PRIVATE=true allows it.",
            is_final=True,
        ) from error
    except httpx.TooManyRedirects as error:
        raise TaskFailedError("too_many_redirects", f"There were more than {MAX_REDIRECTS} redirects.") from error
    except (httpx.RequestError, httpx.InvalidURL, UnreadableBodyError) as error:
        raise TaskFailedError("request_failed", f"There was no response ({type(error).__name__}).") from error


async def _send(http: GuardedHttp, request: HttpRequestPayload) -> JsonValue:
    content = None if request.body is None else request.body.encode()
    async with (
        http.client() as client,
        client.stream(request.method, request.url, headers=request.headers, content=content) as response,
    ):
        body, is_truncated = await read_body(response, MAX_RESPONSE_BYTES)
    return {
        "status": response.status_code,
        "headers": dict(response.headers),
        "body": body_text(body, response.charset_encoding, is_truncated=is_truncated),
        "truncated": is_truncated,
    }
