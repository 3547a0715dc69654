"""docs/api is made from the docstrings of the SDK's public names, and these say what their readers need."""

from pathlib import Path

import griffe
import pytest

from tests.contract.paths import DOCS
from tests.support.paths import ROOT
from tools.api_reference import Page, Reference, differing_files, main

SEE_CLIENT = "see `Client."
"""The methods of `AsyncClient` say where their arguments are told."""


@pytest.fixture(scope="module")
def reference() -> Reference:
    """The public names."""
    return Reference(ROOT)


def functions(pages: list[Page]) -> list[griffe.Function]:
    """All public functions and methods."""
    return [
        member
        for page in pages
        for documented in page.names.values()
        for member in ([documented] if isinstance(documented, griffe.Function) else documented.members.values())
        if isinstance(member, griffe.Function) and not member.name.startswith("_")
    ]


def test_the_committed_pages_are_up_to_date() -> None:
    """`make generate` would change nothing."""
    assert differing_files(ROOT, DOCS / "api") == []


def test_a_difference_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed, a missing and a superfluous page each fail the check; writing mends all."""
    folder = ["--folder", str(tmp_path)]
    assert main(folder) == 0
    assert main(["--check", *folder]) == 0
    (tmp_path / "README.md").write_text("changed")
    (tmp_path / "client.md").unlink()
    (tmp_path / "gone.md").write_text("# Gone")
    assert main(["--check", *folder]) == 1
    named = capsys.readouterr().err
    assert [name for name in ("README.md", "client.md", "gone.md") if name not in named] == []
    assert main(folder) == 0
    assert differing_files(ROOT, tmp_path) == []


def test_every_name_has_a_docstring(reference: Reference) -> None:
    """And so has everything that is public within it."""
    names = [(name, one) for page in reference.pages for name, one in page.names.items()]
    assert [name for name, one in names if not one.docstring] == []
    assert [one.path for one in functions(reference.pages) if not one.docstring] == []


def test_every_argument_is_told(reference: Reference) -> None:
    """Of each public function, by its name."""
    untold = []
    for function in functions(reference.pages):
        assert function.docstring is not None
        if SEE_CLIENT in function.docstring.value:
            continue
        told = {
            entry.name
            for section in function.docstring.parsed
            if section.kind is griffe.DocstringSectionKind.parameters
            for entry in section.value
        }
        expected = {it.name for it in function.parameters if it.name not in {"self", "cls"}}
        untold += [f"{function.path}: {name}" for name in sorted(expected ^ told)]
    assert untold == []


def test_every_argument_of_what_is_made_is_told(reference: Reference) -> None:
    """Of each class, by its name; exceptions that only Taskmill raises need none."""
    untold = []
    for page in reference.pages:
        for documented in page.names.values():
            if not isinstance(documented, griffe.Class) or documented.docstring is None:
                continue
            arguments = griffe.DocstringSectionKind.parameters
            if "dataclass" in documented.labels:
                arguments = griffe.DocstringSectionKind.attributes
            sections = [section for section in documented.docstring.parsed if section.kind is arguments]
            told = {entry.name for section in sections for entry in section.value}
            expected = {it.name for it in documented.parameters if it.name != "self"}
            if sections or "dataclass" in documented.labels:
                untold += [f"{documented.path}: {name}" for name in sorted(expected - told)]
    assert untold == []
