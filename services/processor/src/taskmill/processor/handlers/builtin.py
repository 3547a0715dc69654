"""The app of the built-in kinds."""

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.processor.handlers.echo import echo
from taskmill.processor.handlers.http_request import http_request_handler
from taskmill.processor.handlers.sleep import sleep
from taskmill.sdk import TaskApp


def builtin_app(http: GuardedHttp) -> TaskApp:
    """The kinds `echo`, `sleep` and `http-request`.

    Args:
        http: What `http-request` sends its requests with.
    """
    app = TaskApp("builtin")
    app.task("echo")(echo)
    app.task("sleep")(sleep)
    app.task("http-request")(http_request_handler(http))
    return app
