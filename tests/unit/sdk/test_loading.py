"""Apps are found by `module:attribute`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.sdk.errors import AppNotFoundError
from taskmill.sdk.loading import load_app


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, empty; what is imported from it is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_app_in_the_current_directory_is_found(directory: Path) -> None:
    """A module need not be installed; a package's module is named with dots."""
    (directory / "shop_a").mkdir()
    (directory / "shop_a" / "tasks.py").write_text("from taskmill.sdk import TaskApp\napp = TaskApp('shop')\n")
    assert load_app("shop_a.tasks:app").name == "shop"


@pytest.mark.parametrize(
    "location", ["", "module", "module:", ":app", "nowhere_at_all:app", "json.nowhere:app", "./app.py:app"]
)
def test_what_leads_nowhere_is_explained(directory: Path, location: str) -> None:
    """A malformed location and a missing module are told in one sentence that repeats the location."""
    assert directory
    with pytest.raises(AppNotFoundError, match="No app at") as caught:
        load_app(location)
    assert caught.value.location == location


@pytest.mark.parametrize("attribute", ["missing", "number"])
def test_what_is_no_app_is_explained(directory: Path, attribute: str) -> None:
    """A missing attribute, and one that is something else, are told."""
    (directory / "shop_b.py").write_text("number = 5\n")
    with pytest.raises(AppNotFoundError, match=f"'{attribute}' is no TaskApp"):
        load_app(f"shop_b:{attribute}")


def test_a_broken_import_inside_the_module_is_the_users(directory: Path) -> None:
    """A module that misses one of its own imports is not reported as missing itself."""
    (directory / "shop_c.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_app("shop_c:app")
