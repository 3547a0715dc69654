"""Metrics as Prometheus reads them. Imported only where they are asked for: the library takes memory."""

from collections.abc import Iterator
from itertools import accumulate
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from taskmill.runtime.histogram import Histogram, LabelValues
from taskmill.runtime.metrics import Metric, Metrics

REQUEST_TIMEOUT_SECONDS = 5


class _Told(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        for metric, values in self._metrics.read():
            yield _family(metric, values)


def _family(metric: Metric, values: dict[LabelValues, float | Histogram]) -> Family:
    if metric.type == "histogram":
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, histogram in values.items():
            assert isinstance(histogram, Histogram)  # noqa: S101  (a metric's values are of its type)
            bounds = [*map(str, histogram.bounds), "+Inf"]
            counted = list(zip(bounds, accumulate(histogram.counts), strict=True))
            histograms.add_metric(list(labels), counted, histogram.sum)
        return histograms
    family_class = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = family_class(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        assert not isinstance(value, Histogram)  # noqa: S101
        family.add_metric(list(labels), value)
    return family


class Exposition:
    """Writes metrics down, and those of the process itself: `process_…`, such as its memory and CPU time.

    Args:
        metrics: What is told.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Told(metrics))
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """All metrics now, and the media type that they are written in.

        Args:
            accept: The header `Accept` of who asks; empty: none.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def server(self, address: str, port: int) -> WSGIServer:
        """A server that tells them, bound and not serving yet.

        Raises:
            OSError: The address cannot be listened on.
        """
        return make_server(address, port, make_wsgi_app(self._registry), _Server, handler_class=_Handler)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as the base has it)
        """Nobody wants to know."""
