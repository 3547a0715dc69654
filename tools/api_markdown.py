"""How a public name is written down: its signature, and its docstring as Markdown."""

import importlib
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import griffe
from pydantic import BaseModel

from taskmill.runtime.settings import Settings, variable_name

Documented = griffe.Class | griffe.Function

_MAX_SIGNATURE_CHARS = 110
_NAME_IN_TEXT = re.compile(r"`([A-Za-z_][\w.]*)`")
_HAS_TREE = re.compile("[├└]──")
_ENTRY = re.compile(r"^(\w+): ")
_KEYWORD_ONLY = griffe.ParameterKind.keyword_only
_MADE_BY_TASKMILL = {"ApiProblem", "Context", "Event", "Handler", "MadeAttempt", "TaskOutcome"}
"""Nobody else makes one, so how it is made is no part of the reference."""
_PREFIXES = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}


class ApiMarkdown:
    """Writes public names down.

    Args:
        link_of: Finds where a name such as `Client` or `Client.run` is written down: `client.md#clientrun`; None:
            nowhere.
        value_of: Finds the value of a constant by its path; None: it is none.
    """

    def __init__(self, link_of: Callable[[str], str | None], value_of: Callable[[str], str | None]) -> None:
        self._link_of = link_of
        self._value_of = value_of

    def text(self, text: str) -> str:
        """A docstring's text: what is indented, or drawn, becomes code, and names become links."""
        return "\n\n".join(_paragraph(it, self._linked) for it in _paragraphs(text))

    def name(self, name: str, documented: Documented) -> str:
        """A class with its members, or a function."""
        if isinstance(documented, griffe.Function):
            return self._function(name, documented, level=2)
        return "\n\n".join([f"## `{name}`", *self._class(name, documented)])

    def _class(self, name: str, documented: griffe.Class) -> Iterator[str]:
        loaded, sections = _loaded(documented.path), _sections(documented)
        bases = [self._linked(f"`{base}`") for base in documented.bases if self._link_of(str(base))]
        if bases:
            yield f"Base: {', '.join(bases)}"
        if issubclass(loaded, BaseModel | Enum):
            yield from self._sections(sections)
            yield _fields(loaded) if issubclass(loaded, BaseModel) else _members(loaded)
            return
        is_made_by_users = not _is_typed_dict(loaded) and name not in _MADE_BY_TASKMILL
        if not is_made_by_users:
            sections = [it for it in sections if it.kind is not griffe.DocstringSectionKind.parameters]
        elif not issubclass(loaded, Exception) or any(
            it.kind is griffe.DocstringSectionKind.parameters for it in sections
        ):
            yield self._signature(name, documented.parameters, None)
        yield from self._sections(sections, _types_of_attributes(documented))
        yield from self._attributes(documented)
        for member in documented.members.values():
            if isinstance(member, griffe.Function) and not member.name.startswith("_"):
                yield self._function(f"{name}.{member.name}", member, level=3)

    def _attributes(self, documented: griffe.Class) -> Iterator[str]:
        """What has a docstring of its own: properties, and the keys of a TypedDict."""
        is_typed_dict = _is_typed_dict(_loaded(documented.path))
        lines = []
        for member in documented.members.values():
            if not isinstance(member, griffe.Attribute) or member.name.startswith("_"):
                continue
            typed = f"- `{member.name}: {member.annotation}`"
            if member.docstring:
                text = re.sub(r" Raises: (\w+):", r" Raises `\1`:", " ".join(member.docstring.value.split()))
                lines.append(f"{typed}: {self._linked(text)}")
            elif is_typed_dict:
                lines.append(typed)
        if lines:
            yield "\n".join([f"**{'Keys' if is_typed_dict else 'Properties'}**", "", *lines])

    def _function(self, name: str, function: griffe.Function, *, level: int) -> str:
        signatures = [
            self._signature(name, it.parameters, it.returns)
            for it in (*(function.overloads or ()), *([] if function.overloads else [function]))
        ]
        return "\n\n".join([f"{'#' * level} `{name}`", *signatures, *self._sections(_sections(function))])

    def _signature(self, name: str, parameters: griffe.Parameters, returns: str | griffe.Expr | None) -> str:
        parts = list(self._parameters(parameters))
        end = ")" if returns is None else f") -> {returns}"
        line = f"{name}({', '.join(parts)}{end}"
        if len(line) > _MAX_SIGNATURE_CHARS:
            line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + end
        return f"```python\n{line}\n```"

    def _parameters(self, parameters: griffe.Parameters) -> Iterator[str]:
        has_star = False
        for parameter in parameters:
            if parameter.name in {"self", "cls"}:
                continue
            if parameter.kind is _KEYWORD_ONLY and not has_star:
                has_star = True
                yield "*"
            prefix = _PREFIXES.get(parameter.kind or _KEYWORD_ONLY, "")
            has_star |= prefix == "*"
            annotation = f": {parameter.annotation}" if parameter.annotation is not None else ""
            default = "" if prefix or parameter.default is None else f" = {self._default(parameter.default)}"
            yield f"{prefix}{parameter.name}{annotation}{default}"

    def _default(self, default: str | griffe.Expr) -> str:
        if isinstance(default, griffe.ExprName):
            if default.name.startswith("_"):
                return "..."
            default = self._value_of(default.canonical_path) or str(default)
        return re.sub(r"^'(.*)'$", r'"\1"', str(default))

    def _sections(self, sections: list[griffe.DocstringSection], types: dict[str, str] | None = None) -> Iterator[str]:
        for section in sections:
            match section.kind:
                case griffe.DocstringSectionKind.text:
                    yield self.text(section.value)
                case griffe.DocstringSectionKind.parameters:
                    yield self._entries("Arguments", [(f"`{it.name}`", it.description) for it in section.value])
                case griffe.DocstringSectionKind.attributes:
                    yield self._entries(
                        "Attributes", [(_typed(it.name, types or {}), it.description) for it in section.value]
                    )
                case griffe.DocstringSectionKind.raises:
                    yield self._entries(
                        "Raises", [(self._raised(it.annotation), it.description) for it in section.value]
                    )
                case griffe.DocstringSectionKind.returns | griffe.DocstringSectionKind.yields:
                    returned = " ".join(" ".join(it.description.split()) for it in section.value)
                    yield f"**{section.kind.value.title()}**: {self._linked(returned)}"
                case griffe.DocstringSectionKind.admonition:
                    contents = section.value.contents.splitlines()
                    entries = [it.split(": ", 1) for it in contents]
                    yield self._entries(str(section.title), [(self._linked(f"`{it}`"), text) for it, text in entries])
                case other:
                    raise ValueError(f"no docstring here has a section {other.value!r}")

    def _raised(self, annotation: str | griffe.Expr | None) -> str:
        """An exception, linked by its path: several have the same name."""
        path = annotation.canonical_path if isinstance(annotation, griffe.Expr) else str(annotation)
        link = self._link_of(path)
        return f"[`{annotation}`]({link})" if link else f"`{annotation}`"

    def _entries(self, title: str, entries: list[tuple[str, str]]) -> str:
        lines = [f"- {it}: {self._linked(' '.join(text.split()))}" for it, text in entries]
        return "\n".join([f"**{title}**", "", *lines])

    def _linked(self, text: str) -> str:
        return _NAME_IN_TEXT.sub(lambda it: f"[{it[0]}]({link})" if (link := self._link_of(it[1])) else it[0], text)


def summary(documented: Documented) -> str:
    """The first sentence of a docstring."""
    text = documented.docstring.value if documented.docstring else ""
    return re.split(r"(?<=[.:]) |\n\n", " ".join(text.partition("\n\n")[0].split()))[0].rstrip(":") if text else ""


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def types_in(documented: Documented) -> Iterator[str]:
    """The paths of all types that the signatures of a name have."""
    functions = [documented] if isinstance(documented, griffe.Function) else documented.members.values()
    for member in functions:
        if member.name.startswith("_") and (member.name != "__init__" or documented.name in _MADE_BY_TASKMILL):
            continue
        for section in _sections(member) if isinstance(member, griffe.Function) else []:
            if section.kind is griffe.DocstringSectionKind.raises:
                yield from (
                    it.annotation.canonical_path for it in section.value if isinstance(it.annotation, griffe.Expr)
                )
        if isinstance(member, griffe.Function):
            annotations = [member.returns, *(it.annotation for it in member.parameters)]
        elif isinstance(member, griffe.Attribute):
            annotations = [member.annotation]
        else:
            continue
        for annotation in annotations:
            if isinstance(annotation, griffe.Expr):
                yield from (it.canonical_path for it in annotation.iterate() if isinstance(it, griffe.ExprName))


def _sections(documented: Documented) -> list[griffe.DocstringSection]:
    return documented.docstring.parsed if documented.docstring else []


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs; indented ones that follow one another are one, with the empty lines between them."""
    gathered = ""
    for paragraph in text.split("\n\n"):
        if gathered.startswith("    ") and paragraph.startswith("    "):
            gathered += f"\n\n{paragraph}"
            continue
        if gathered:
            yield gathered
        gathered = paragraph
    yield gathered


def _paragraph(text: str, linked: Callable[[str], str]) -> str:
    if text.startswith("    "):
        code = re.sub("^    ", "", text, flags=re.MULTILINE)
        return f"```python\n{code.strip()}\n```"
    if _HAS_TREE.search(text):
        return f"```text\n{text}\n```"
    return linked(text if "\n- " in text or text.startswith("- ") else " ".join(text.split()))


def _loaded(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _is_typed_dict(loaded: Any) -> bool:
    return hasattr(loaded, "__total__")


def _types_of_attributes(documented: griffe.Class) -> dict[str, str]:
    return {
        name: str(member.annotation)
        for name, member in documented.members.items()
        if isinstance(member, griffe.Attribute) and member.annotation is not None
    }


def _typed(name: str, types: dict[str, str]) -> str:
    return f"`{name}: {types[name]}`" if name in types else f"`{name}`"


def _fields(model: type[BaseModel]) -> str:
    """The fields of a model; of settings, the variables that set them."""
    schema = model.model_json_schema(mode="serialization")["properties"]
    lines = ["| field | default | |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        shown = f"`{name}`"
        if issubclass(model, Settings):
            shown += f", `{variable_name(name, field)}`"
        default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        text = field.description or schema.get(name, {}).get("description", "")
        lines.append(f"| {shown} | {default} | {' '.join(text.split())} |")
    return "\n".join(lines)


def _members(enumeration: type[Enum]) -> str:
    return "Values: " + ", ".join(f"`{member.value}`" for member in enumeration) + "."
