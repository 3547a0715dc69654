"""Tells metrics over HTTP, for services that have no HTTP of their own."""

import asyncio
import threading
from collections.abc import Callable

from taskmill.runtime.actor import Actor
from taskmill.runtime.errors import StartError
from taskmill.runtime.loop_watch import LoopWatch
from taskmill.runtime.metrics import Metrics
from taskmill.runtime.process_metrics import ProcessMetrics
from taskmill.runtime.settings import MetricsSettings


def metrics_actors(metrics: ProcessMetrics, settings: MetricsSettings) -> list[Actor]:
    """The actors that tell metrics, if a port is set; none otherwise.

    Raises:
        StartError: The address cannot be listened on.
    """
    port = settings.metrics_port
    if port is None:
        return []
    return [LoopWatch(metrics.loop_delay), MetricsServer(metrics, settings.metrics_address, port)]


class MetricsServer(Actor):
    """Answers `GET /metrics` in threads of its own: also while the event loop is blocked, when it matters most.

    Args:
        metrics: What is told.
        address: Where to listen.
        port: On which port.

    Raises:
        StartError: The address cannot be listened on.
    """

    name = "metrics-server"

    def __init__(self, metrics: Metrics, address: str, port: int) -> None:
        from taskmill.runtime.exposition import Exposition  # noqa: PLC0415 (it takes memory)

        try:
            self._server = Exposition(metrics).server(address, port)
        except OSError as error:
            place = f"{address}, port {port} (TASKMILL_METRICS_ADDRESS, TASKMILL_METRICS_PORT)"
            raise StartError(f"cannot listen on {place}: {error.strerror}") from error
        self._is_serving = False

    def stop(self) -> None:
        """End, and let the port go."""
        super().stop()
        if not self._is_serving:
            self._server.server_close()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped."""
        if self._stop_requested.is_set():
            return
        self._is_serving = True
        threading.Thread(target=self._server.serve_forever, name=self.name, daemon=True).start()
        started()
        try:
            await self._stop_requested.wait()
        finally:
            self._is_serving = False
            await asyncio.shield(asyncio.to_thread(self._server.shutdown))
            if self._stop_requested.is_set():
                self._server.server_close()
