"""Where the files are that the contracts are held against."""

from pathlib import Path

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
SCHEMAS = DOCS / "schemas"
GOLDEN = Path(__file__).parent / "golden" / "v1"
