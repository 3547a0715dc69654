"""Writes docs/api/*.md: what stands in the docstrings of the SDK's public names.

Run `python -m tools.api_reference` in the repository's root, or with `--check`, which writes nothing, names the files
that differ, and ends with 1 if there are any.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import griffe

from tools.api_markdown import ApiMarkdown, Documented, anchor, summary, types_in

PACKAGES = {
    "taskmill.contracts": "libs/contracts/src",
    "taskmill.runtime": "libs/runtime/src",
    "taskmill.sdk": "libs/sdk/src",
}
_NOTE = "Made from the docstrings by `make generate`; do not edit."


@dataclass
class Page:
    """A page of the reference.

    Attributes:
        file: Its name in docs/api.
        title: Its heading.
        module: Whose public names it has; one that several modules export stands on the first page that may have it.
        names: What is on it.
        elsewhere: What the module exports, too: its name, and where it comes from.
    """

    file: str
    title: str
    module: str
    names: dict[str, Documented] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)


class Reference:
    """The public names of the SDK, found in the sources.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path) -> None:
        loader = griffe.GriffeLoader(
            search_paths=[root / source for source in PACKAGES.values()],
            docstring_parser="google",
            docstring_options={"warnings": False},
        )
        for package in PACKAGES:
            loader.load(package)
        loader.resolve_aliases(external=False)
        self._modules = loader.modules_collection
        client = Page("client.md", "Client", "taskmill.sdk.client")
        self.pages = [
            Page("handlers.md", "Handlers", "taskmill.sdk"),
            client,
            Page("subscribing.md", "Subscriber", "taskmill.sdk.subscribing"),
            Page("testing.md", "Tests", "taskmill.sdk.testing"),
            Page("programs.md", "Programs", "taskmill.sdk.program"),
            Page("errors.md", "Other errors", "taskmill.sdk.errors"),
        ]
        # `taskmill.sdk` has the clients, too, but they stand with what belongs to them.
        self._fill(client)
        for page in self.pages:
            if page is not client:
                self._fill(page)
        self.types = Page("types.md", "Types", "taskmill.contracts", names=self._contract_types())
        # Where two have the same name, the first page's has it, and the other one is found by its path.
        self._links = dict(reversed(list(self._all_links())))
        self._markdown = ApiMarkdown(self._links.get, self._value_of)

    def files(self) -> dict[str, str]:
        """The text of each page, by its file."""
        return {"README.md": self._index(), **{page.file: self._page(page) for page in [*self.pages, self.types]}}

    def _fill(self, page: Page) -> None:
        module = self._modules[page.module]
        taken = {one.path for other in self.pages for one in other.names.values()}
        for name in sorted(map(str, module.exports or _classes(module)), key=str.lower):
            member = module[name]
            if member.is_alias and not _is_ours(member.target_path):
                page.elsewhere[name] = member.target_path
                continue
            target = member.final_target if member.is_alias else member
            if target.path in taken:
                page.elsewhere[name] = target.path
            else:
                page.names[name] = target

    def _contract_types(self) -> dict[str, Documented]:
        """The types of the contracts in the signatures of public names, and those within them that have a name."""
        found: dict[str, Documented] = {}
        taken = {one.path for page in self.pages for one in page.names.values()}
        waiting = [path for page in self.pages for one in page.names.values() for path in types_in(one)]
        while waiting:
            path = waiting.pop()
            if not path.startswith("taskmill.contracts.") or path in taken:
                continue
            taken.add(path)
            one = self._modules[path]
            if isinstance(one, griffe.Class):
                found[one.name] = one
                waiting += types_in(one)
        return dict(sorted(found.items()))

    def _all_links(self) -> Iterator[tuple[str, str]]:
        for page in [*self.pages, self.types]:
            for name, documented in page.names.items():
                yield name, f"{page.file}#{anchor(name)}"
                yield documented.path, f"{page.file}#{anchor(name)}"
                for member in documented.members.values():
                    if isinstance(member, griffe.Function) and not member.name.startswith("_"):
                        full = f"{name}.{member.name}"
                        yield full, f"{page.file}#{anchor(full)}"

    def _value_of(self, path: str) -> str | None:
        found = self._modules[path] if _is_ours(path) else None
        return str(found.value) if isinstance(found, griffe.Attribute) else None

    def _index(self) -> str:
        parts = [
            "# API of the SDK",
            f"{_NOTE} What users of Taskmill import. [Handlers](../handlers.md), [Client](../client.md) and "
            "[Following events on NATS](../subscribing.md) show how it is used.",
        ]
        for page in [*self.pages, self.types]:
            lines = [f"| [`{name}`]({self._links[one.path]}) | {summary(one)} |" for name, one in page.names.items()]
            parts += [f"## `{page.module}`", "\n".join(["| | |", "|---|---|", *lines])]
        return "\n\n".join(parts) + "\n"

    def _page(self, page: Page) -> str:
        module = self._modules[page.module]
        parts = [f"# {page.title}", f"{_NOTE} [All names](README.md)."]
        if page is self.types:
            parts.append("What the SDK takes and returns. They are imported from the modules of `taskmill.contracts`.")
        elif module.docstring:
            parts.append(self._markdown.text(module.docstring.value))
        others = [
            f"[`{name}`]({self._links[name]})" if name in self._links else f"`{name}` (`{path}`)"
            for name, path in page.elsewhere.items()
        ]
        if others:
            parts.append(f"`{page.module}` has these, too: {', '.join(others)}.")
        parts += [self._markdown.name(name, documented) for name, documented in page.names.items()]
        return "\n\n".join(parts) + "\n"


def _classes(module: griffe.Module | griffe.Alias) -> list[str]:
    return [name for name, member in module.members.items() if isinstance(member, griffe.Class)]


def _is_ours(path: str) -> bool:
    return path.startswith("taskmill.")


def differing_files(root: Path, folder: Path) -> list[Path]:
    """The pages in a folder that are missing, outdated, or no more."""
    expected = Reference(root).files()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(folder / name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def write_files(root: Path, folder: Path) -> None:
    """Make the pages in a folder what they should be."""
    expected = Reference(root).files()
    folder.mkdir(parents=True, exist_ok=True)
    for path in differing_files(root, folder):
        if path.name in expected:
            path.write_text(expected[path.name], encoding="utf-8")
        else:
            path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.api_reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a page would change")
    parser.add_argument("--folder", type=Path, default=Path("docs/api"), help="where the pages are (default: docs/api)")
    options = parser.parse_args(arguments)
    root = Path(__file__).parents[1]
    if not options.check:
        write_files(root, options.folder)
        return 0
    differing = differing_files(root, options.folder)
    for path in differing:
        sys.stderr.write(f"{path} differs from the docstrings; run `make generate`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
