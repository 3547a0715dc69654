from prometheus_client.parser import text_string_to_metric_families

from taskmill.runtime.exposition import Exposition
from taskmill.runtime.histogram import Histogram, Histograms
from taskmill.runtime.metrics import Counts, Metric, Metrics

SEEN = Metric("seen_total", "counter", "What was seen.", ("kind",))
DEPTH = Metric("depth", "gauge", "How deep it is.")
SECONDS = Metric("seconds", "histogram", "How long it took.", ("code",))


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What is told, as Prometheus reads it, without what the process tells of itself."""
    text, _ = Exposition(metrics).text("")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text.decode())
        if not family.name.startswith("process_")
        for sample in family.samples
    }


def test_what_is_told_is_what_is_counted_when_it_is_asked_for() -> None:
    """Each type in its own way, with labels that may hold anything."""
    metrics = Metrics()
    counts = Counts()
    times = Histograms((0.1, 1.0))
    metrics.add(SEEN, lambda: counts)
    metrics.add(DEPTH, lambda: {(): 3})
    metrics.add(SECONDS, lambda: times)
    assert samples(metrics) == {("depth", ()): 3}
    counts['a "quoted"\n\\kind',] += 2
    for seconds in (0.05, 0.1, 0.5, 7):
        times["ok",].observe(seconds)
    told = samples(metrics)
    assert told[("seen_total", (("kind", 'a "quoted"\n\\kind'),))] == 2
    buckets = {dict(labels)["le"]: value for (name, labels), value in told.items() if name == "seconds_bucket"}
    assert buckets == {"0.1": 2, "1.0": 3, "+Inf": 4}
    assert told[("seconds_count", (("code", "ok"),))] == 4
    assert told[("seconds_sum", (("code", "ok"),))] == 7.65


def test_openmetrics_is_told_to_who_asks_for_it() -> None:
    """Prometheus does; people with curl get text."""
    exposition = Exposition(Metrics())
    for accept, media_type in (("", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")):
        text, told = exposition.text(accept)
        assert told.startswith(media_type)
        assert text.endswith(b"# EOF\n") == (media_type == "application/openmetrics-text")


def test_a_value_on_a_bound_belongs_to_the_bucket_below() -> None:
    """As `le`, less or equal, has it."""
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert (histogram.counts, histogram.sum) == ([1, 2, 1], 7.0)


def test_reading_a_counter_that_was_never_counted_leaves_no_trace() -> None:
    """Who looks makes no series."""
    counts = Counts()
    assert counts["a",] == 0
    assert counts == {}
