"""What a member imports is installed with it: an image has nothing else, while here everything is installed."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

MEMBERS = {f"taskmill-{path.parent.name}": path.parent for path in ROOT.glob("*/*/pyproject.toml")}
DISTRIBUTIONS = packages_distributions()
# The fixture `taskmill_stack` is a plugin: pytest loads it, and so is there.
BROUGHT_BY_USERS = {"taskmill-cli": {"pytest"}}


def declared(member: str) -> set[str]:
    """What a member asks for, by itself or for one of its extras, and what those members ask for that it stands on."""
    project = tomllib.loads((MEMBERS[member] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [
        *project["dependencies"],
        *(text for extra in project.get("optional-dependencies", {}).values() for text in extra),
    ]
    names = {canonicalize_name(Requirement(text).name) for text in texts}
    return names.union(*(declared(name) for name in names if name in MEMBERS and name != member))


def brought_along(names: set[str]) -> set[str]:
    """These, and what they need themselves, such as starlette for FastAPI."""
    needs = [Requirement(text) for name in names if name not in MEMBERS for text in requires(name) or []]
    return names | {canonicalize_name(need.name) for need in needs if "extra ==" not in str(need.marker)}


def imported(package: Path) -> set[str]:
    """The packages of others that any module imports, wherever in it."""
    names: set[str] = set()
    for module in package.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"taskmill"}


@pytest.mark.parametrize("member", sorted(name for name, path in MEMBERS.items() if (path / "src").is_dir()))
def test_what_is_imported_is_declared(member: str) -> None:
    """Each import has a distribution that is installed with the member."""
    known = brought_along(declared(member))
    missing = {
        name
        for name in imported(MEMBERS[member] / "src")
        if not known & {canonicalize_name(distribution) for distribution in DISTRIBUTIONS.get(name, [])}
    }
    assert missing == BROUGHT_BY_USERS.get(member, set())
