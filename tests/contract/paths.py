"""Where the files are that the contracts are held against."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCHEMAS = DOCS / "schemas"
GOLDEN = Path(__file__).parent / "golden" / "v1"
