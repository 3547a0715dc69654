"""Where the gateways of a stack listen."""

from itertools import islice

from taskmill.cli.embedded.ports import bind_once
from taskmill.cli.errors import CannotListenError
from taskmill.cli.settings import StackSettings
from taskmill.runtime.settings import MAX_PORT


def find_gateway_ports(settings: StackSettings) -> list[int]:
    """Return a port for each gateway: that of the settings, and the next ones that are free and not for metrics.

    To be called when everything else of the stack has its port.

    Raises:
        CannotListenError: There are not enough of them.
    """
    ports = range(settings.port + 1, MAX_PORT + 1)
    others = list(islice((port for port in ports if _is_free(settings, port)), settings.gateways - 1))
    if len(others) < settings.gateways - 1:
        reason = f"no port behind it is free for each of TASKMILL_GATEWAYS={settings.gateways}"
        raise CannotListenError(settings.host, settings.port, reason)
    return [settings.port, *others]


def _is_free(settings: StackSettings, port: int) -> bool:
    if port in settings.metrics_ports:
        return False
    try:
        bind_once(settings.host, port)
    except OSError:
        return False
    return True
