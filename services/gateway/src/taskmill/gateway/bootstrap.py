"""Where the gateway's parts meet."""

import socket
import uuid

from taskmill.contracts import registry, subjects
from taskmill.gateway.actors.event_feed import EventFeed
from taskmill.gateway.actors.http_server import HttpServer
from taskmill.gateway.actors.kind_watch import KindWatch
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.app import create_app
from taskmill.gateway.metrics import gateway_metrics
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.errors import StartError
from taskmill.runtime.loop_watch import LoopWatch
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.supervisor import Supervisor


async def build(settings: GatewaySettings) -> Supervisor:
    """Put the gateway together.

    Raises:
        StartError: The address cannot be listened on.
    """
    session = NatsSession(settings, client_name="gateway", is_awaited=False)
    bundled = {command.subject: subjects.bundle(command.subject) for command in registry.BUNDLED}
    store = Store(RequestClient(session, timeout_seconds=settings.request_timeout_seconds, bundled=bundled))
    log = Log(store)
    feed = EventFeed(session, log, max_followers=settings.max_followers)
    schemas = PayloadSchemas(store)
    metrics = gateway_metrics(session, feed)
    app = create_app(
        store,
        log,
        feed,
        schemas,
        is_bus_connected=lambda: session.is_connected,
        is_live=lambda: session.is_at_work and supervisor.is_whole,
        metrics=metrics,
    )
    server = HttpServer(app, _bind(settings.host, settings.port), on_stop=feed.cut_off_all)
    discovery = Discovery(session, "taskmill-gateway", "Speaks HTTP.", instance_id=uuid.uuid4().hex)
    supervisor = Supervisor([session, discovery, LoopWatch(metrics.loop_delay), feed, KindWatch(schemas), server])
    return supervisor


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # A port whose last connections are still fading away can be had again.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = f"cannot listen on {host}, port {port} (TASKMILL_HOST, TASKMILL_PORT): {error.strerror}"
        raise StartError(reason) from error
    return listener
