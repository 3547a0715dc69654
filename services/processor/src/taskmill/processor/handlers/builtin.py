"""The app of the built-in kinds."""

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.processor.handlers.echo import echo
from taskmill.processor.handlers.http_request import http_request_handler
from taskmill.processor.handlers.sleep import sleep
from taskmill.sdk import TaskApp

HTTP_REQUEST_ATTEMPTS = 3
"""Of a request that gets no response. One that gets any, whatever its status, is completed."""


def builtin_app(http: GuardedHttp) -> TaskApp:
    """The kinds `echo` and `sleep`, which would fail again if they failed, and `http-request`, which is tried again.

    Args:
        http: What `http-request` sends its requests with.
    """
    app = TaskApp("builtin")
    app.task("echo")(echo)
    app.task("sleep")(sleep)
    app.task("http-request", max_attempts=HTTP_REQUEST_ATTEMPTS)(http_request_handler(http))
    return app
