"""Pages that list what is in the code list all of it."""

import re
from collections import Counter

import pytest

from taskmill.contracts.tasks import WaitReason
from tests.contract.paths import DOCS
from tests.support.paths import ROOT

_WORDS = re.compile(r"^\| \*\*(.+?)\*\* \|", re.MULTILINE)

_TWO_THINGS = {"outcome", "term"}
"""Words that stand for two things: of attempts and of groups, of turns and in NATS."""

_BASES = {"leader_duty.py", "commit_duty.py"}
"""Of several actors."""


@pytest.mark.parametrize("service", ["gateway", "task-store", "processor"])
def test_the_architecture_names_every_actor(service: str) -> None:
    """`ls actors/` is the list of everything that runs; bases of several actors are none."""
    folder = ROOT / "services" / service / "src" / "taskmill" / service.replace("-", "_") / "actors"
    modules = {path.name for path in folder.glob("*.py")} - {"__init__.py", *_BASES}
    told = _section("architecture", "What runs in each process")
    assert modules
    assert sorted(name for name in modules if f"`{name}`" not in told) == []


def test_the_guarantees_name_all_that_a_task_may_wait_for() -> None:
    """With what helps."""
    told = re.findall(r"^\| `(\w+)` \|", _section("guarantees", "What a task waits for"), re.MULTILINE)
    assert sorted(set(WaitReason) - set(told)) == []


def test_the_glossary_says_each_word_once() -> None:
    """One name for one thing, and one entry for one name."""
    words = Counter(word for entry in _WORDS.findall(_page("glossary")) for word in entry.split(", "))
    assert len(words) > 100
    assert {word for word, count in words.items() if count > 1} <= _TWO_THINGS


def _page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def _section(page: str, title: str) -> str:
    (section,) = [part for part in _page(page).split("\n## ") if part.startswith(f"{title}\n")]
    return section
