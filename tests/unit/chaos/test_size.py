"""The harness stays small enough to be read (ADR 14)."""

from tests.support.paths import ROOT

HARNESS = ROOT / "tests" / "chaos"
MAX_LINES = 3_900
MAX_LINES_OF_MODULE = 250


def test_harness_stays_within_its_size() -> None:
    """All of it together, and each module."""
    lines = {str(path.relative_to(HARNESS)): len(path.read_text().splitlines()) for path in HARNESS.rglob("*.py")}
    assert sum(lines.values()) <= MAX_LINES
    assert {path: count for path, count in lines.items() if count > MAX_LINES_OF_MODULE} == {}
