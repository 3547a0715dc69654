"""Where the gateway's parts meet."""

import socket
import uuid
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from taskmill.contracts import registry, subjects
from taskmill.contracts.permissions import GATEWAY
from taskmill.gateway.actors.event_feed import EventFeed
from taskmill.gateway.actors.http_server import HttpServer
from taskmill.gateway.actors.key_watch import KeyWatch
from taskmill.gateway.actors.kind_watch import KindWatch
from taskmill.gateway.adapters.callers import Callers
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.app import create_app
from taskmill.gateway.api.event_endpoints import EventEndpoints
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.domain.callers import anybody, local_developer
from taskmill.gateway.metrics import gateway_metrics
from taskmill.gateway.settings import AuthSettings, GatewaySettings
from taskmill.gateway.ui.route import DashboardRoute
from taskmill.runtime.clock import utc_now
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.errors import StartError
from taskmill.runtime.loop_watch import LoopWatch
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    from taskmill.gateway.adapters.tokens import Tokens
    from taskmill.gateway.ui.dashboard import Dashboard


async def build(settings: GatewaySettings) -> Supervisor:
    """Put the gateway together.

    Raises:
        StartError: The address cannot be listened on.
    """
    session = NatsSession(settings, client_name="gateway", inbox_prefix=GATEWAY.inbox_prefix, is_awaited=False)
    bundled = {command.subject: subjects.bundle(command.subject) for command in registry.BUNDLED}
    store = Store(RequestClient(session, timeout_seconds=settings.request_timeout_seconds, bundled=bundled))
    log = Log(store)
    feed = EventFeed(session, log, max_followers=settings.max_followers)
    schemas = PayloadSchemas(store)
    ring = KeyRing(store)
    metrics = gateway_metrics(session, feed)
    admission = _admission(settings, ring)
    app = create_app(
        store,
        log,
        feed,
        schemas,
        is_bus_connected=lambda: session.is_connected,
        admission=admission,
        ring=ring,
        is_live=lambda: session.is_at_work and supervisor.is_whole,
        metrics=metrics,
        others=[DashboardRoute(partial(_dashboard, settings, store, log, feed, schemas, admission))],
    )
    # What stands before it, FastAPI's and Starlette's own, does nothing for it but to call it.
    server = HttpServer(app.build_middleware_stack(), _bind(settings.host, settings.port), on_stop=feed.cut_off_all)
    discovery = Discovery(session, "taskmill-gateway", "Speaks HTTP.", instance_id=uuid.uuid4().hex)
    key_watch = KeyWatch(ring, why_needed=_why_a_key_is_needed(settings))
    loop_watch = LoopWatch(metrics.loop_delay)
    supervisor = Supervisor([session, discovery, loop_watch, feed, KindWatch(schemas), key_watch, server])
    return supervisor


def _dashboard(
    settings: GatewaySettings, store: Store, log: Log, feed: EventFeed, schemas: PayloadSchemas, admission: Admission
) -> "Dashboard":
    # 4 MB of templates and what renders them, for those who look.
    from taskmill.gateway.ui.app import create_dashboard  # noqa: PLC0415

    return create_dashboard(
        store,
        EventEndpoints(store, log, feed),
        PayloadCheck(schemas),
        admission=admission,
        version=version("taskmill-gateway"),
        now=utc_now,
        new_id=uuid7,
        trace_url=settings.ui_trace_url,
        shows_payloads=settings.ui_payloads,
    )


def _admission(settings: AuthSettings, ring: KeyRing) -> Admission:
    without_credentials = None
    if not settings.needs_credentials:
        without_credentials = anybody() if settings.auth == "none" else local_developer()
    callers = Callers(ring, _tokens(settings), without_credentials, are_heeded=settings.auth != "none")
    rate_limit = None
    if settings.rate_limit is not None:
        from taskmill.gateway.adapters.rate_limit import RateLimit  # noqa: PLC0415 -- who has no limit need not load it

        rate_limit = RateLimit(settings.rate_limit)
    return Admission(callers, allowed_hosts=settings.allowed_hosts, rate_limit=rate_limit)


def _tokens(settings: AuthSettings) -> "Tokens | None":
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    # 20 MB of libraries, for those who have a provider.
    from taskmill.gateway.adapters.provider_keys import ProviderKeys  # noqa: PLC0415
    from taskmill.gateway.adapters.tokens import Tokens  # noqa: PLC0415

    return Tokens(
        ProviderKeys(settings.oidc_issuer, settings.oidc_keys_url),
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        algorithms=settings.oidc_algorithms,
        scopes_claim=settings.oidc_scopes_claim,
    )


def _why_a_key_is_needed(settings: AuthSettings) -> str | None:
    """What an operator is told who runs a gateway that could let nobody in without any API key; None: it could."""
    if not settings.needs_credentials or settings.oidc_issuer is not None:
        return None
    return (
        f"there is no API key yet, and without one nobody could be let in (TASKMILL_HOST={settings.host}, "
        f"TASKMILL_AUTH={settings.auth}). Make the first with the settings of the task store (TASKMILL_DATABASE_URL):\n"
        "  python -m taskmill.task_store create-key admin\n"
        "With Docker Compose: docker compose run --rm --no-deps task-store create-key admin\n"
        "Or set TASKMILL_OIDC_ISSUER and TASKMILL_OIDC_AUDIENCE; or TASKMILL_AUTH=none, if whoever reaches this "
        "address may do everything."
    )


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
