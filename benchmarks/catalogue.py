"""All measures, in the order of the table."""

from benchmarks.measures import creating, following, growth, latency, processing, reading, resources, turns

MEASURES = (
    *creating.MEASURES,
    *processing.MEASURES,
    *latency.MEASURES,
    *following.MEASURES,
    *resources.MEASURES,
    *reading.MEASURES,
    *growth.MEASURES,
    *turns.MEASURES,
)

QUICK = ("create-64", "create-1", "two-processors", "idle-latency", "half-rate", "idle")
"""Those that mean something without a peer, and take little time."""

QUICK_OPERATED = tuple(name for name in QUICK if name != "two-processors")
"""Those of them that are measured as Taskmill is operated, too."""
