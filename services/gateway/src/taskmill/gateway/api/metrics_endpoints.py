"""The endpoint for Prometheus."""

from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Header, Response

from taskmill.gateway.api.routes import route
from taskmill.runtime.metrics import Metrics

if TYPE_CHECKING:
    from taskmill.runtime.exposition import Exposition


class MetricsEndpoints:
    """What this gateway counts.

    Args:
        metrics: What is told.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @route(
        "GET",
        "/metrics",
        operation_id="getMetrics",
        summary="Tell Prometheus what this gateway counts",
        tags=["health"],
        response_class=Response,
        response_description="The metrics, as text of Prometheus', or as OpenMetrics to whoever asks for that.",
        responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}},
    )
    async def metrics(self, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """Tell what this gateway counts, and no other process: those of the fleet tell theirs on ports of their own."""
        text, media_type = self._exposition.text(accept)
        return Response(text, headers={"Content-Type": media_type})

    @cached_property
    def _exposition(self) -> "Exposition":
        from taskmill.runtime.exposition import Exposition  # noqa: PLC0415 (it takes memory)

        return Exposition(self._metrics)
