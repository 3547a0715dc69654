"""What pip-audit answers is read as what was looked up, what was not, and what is known."""

import json
import re

from tests.support.paths import ROOT
from tools.audit import LOCKS, Audit, read_audit


def test_each_package_is_counted_once() -> None:
    """Looked up, unknown, or vulnerable with the version that mends it."""
    vulnerability = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
    packages = [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "hidden", "skip_reason": "not found"},
        {"name": "bad", "version": "1.0", "vulns": [vulnerability]},
    ]
    audit = read_audit(json.dumps({"dependencies": packages}))
    assert audit == Audit(2, ["hidden"], ["bad 1.0: PYSEC-1, mended in ['2.0']"])


def test_the_lock_files_that_are_audited_have_all_that_the_others_have() -> None:
    """Else a package could be locked, and never looked up."""

    def pins(path: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))

    audited = {pin for lock in LOCKS for pin in pins(lock)}
    locks = [*ROOT.glob("*.lock"), *(ROOT / "docker" / "locks").glob("*.lock")]
    missing = {str(lock.relative_to(ROOT)): pins(str(lock)) - audited for lock in locks}
    assert len(missing) == 7
    assert {lock: absent for lock, absent in missing.items() if absent} == {}
