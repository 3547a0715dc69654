"""Who follows several pages of the documentation on one stack is not led astray."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from taskmill.processor.adapters.outside import Outside
from taskmill.processor.handlers import builtin_app
from taskmill.sdk import TaskApp
from tests.support.pages import blocks, files
from tests.support.paths import ROOT

PAGES = ["README.md", *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md")))]


def declared(page: str, folder: Path) -> dict[str, tuple[str | None, Any]]:
    """What the files of a page declare: of each kind its queue, and the schema of its payloads."""
    for name, text in files(page).items():
        (folder / name).write_text(text)
    kinds: dict[str, tuple[str | None, Any]] = {}
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        for name in [name for name, text in files(page).items() if "TaskApp(" in text]:
            apps = [it for it in vars(importlib.import_module(name[:-3])).values() if isinstance(it, TaskApp)]
            assert apps, f"{name} of {page} has no app"
            kinds |= {
                kind: (handler.defaults.queue, handler.payload_schema())
                for app in apps
                for kind, handler in app.handlers.items()
            }
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if f"{name}.py" in files(page):
                del sys.modules[name]
    return kinds


def test_no_two_pages_mean_different_things_by_a_kind(tmp_path: Path) -> None:
    """Were their schemas or their queues not the same, what holds would depend on who said hello last."""
    known: dict[str, tuple[str, Any]] = {}
    for kind, handler in builtin_app(Outside(None, None, 1)).handlers.items():  # type: ignore[arg-type]
        known[kind] = ("the processor itself", (handler.defaults.queue, handler.payload_schema()))
    for page in PAGES:
        folder = tmp_path / page.replace("/", "-")
        folder.mkdir()
        for kind, meant in declared(page, folder).items():
            other, other_meant = known.setdefault(kind, (page, meant))
            assert meant == other_meant, f"{kind!r} of {page} is not that of {other}"
    assert {"image-resize", "resize", "thumbnail", "page-length"} <= known.keys()


@pytest.mark.parametrize("page", PAGES)
def test_each_app_is_in_a_file(page: str) -> None:
    """Or nobody would see what it declares."""
    named = files(page).values()
    assert [text for text in blocks(page, "python") if "TaskApp(" in text and text not in named] == []


def test_no_two_pages_have_different_files_of_one_name() -> None:
    """Who follows both in one folder would run what is meant for the other."""
    known: dict[str, tuple[str, str]] = {}
    for page in PAGES:
        for name, text in files(page).items():
            other, other_text = known.setdefault(name, (page, text))
            assert text == other_text, f"{name} of {page} is not that of {other}"
