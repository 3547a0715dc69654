"""The harness stays small enough to be read (ADR 14)."""

from pathlib import Path

HARNESS = Path(__file__).parents[2] / "chaos"
MAX_LINES = 3_400
MAX_LINES_OF_MODULE = 250


def test_harness_stays_within_its_size() -> None:
    """All of it together, and each module."""
    lines = {path: len(path.read_text().splitlines()) for path in HARNESS.rglob("*.py")}
    assert sum(lines.values()) <= MAX_LINES
    assert max(lines.values()) <= MAX_LINES_OF_MODULE
