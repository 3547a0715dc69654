"""Writes what is generated from the contracts: docs/schemas/*.json, docs/messages.md and docs/asyncapi.json.

Run `python -m taskmill.contracts.generate` in the repository's root, or with `--check`, which writes nothing, names the
files that differ, and ends with 1 if there are any.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from taskmill.contracts import streams, subjects
from taskmill.contracts.asyncapi import asyncapi_document
from taskmill.contracts.errors import error_codes
from taskmill.contracts.events import EVENT_DATA
from taskmill.contracts.limits import MAX_BUNDLED_REQUEST_BYTES, MAX_REQUESTS_IN_A_BUNDLE
from taskmill.contracts.permissions import USERS, NatsUser
from taskmill.contracts.registry import BUNDLED, COMMANDS, MESSAGES, message_models
from taskmill.contracts.reports import ReportBundle

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect's name (a URI that nothing fetches): what pydantic writes."""


def generated_files() -> dict[Path, str]:
    """Every generated file, by its path below `docs`, with its text."""
    files = {Path("schemas") / f"{name}.json": _schema(model) for name, model in message_models().items()}
    files[Path("messages.md")] = messages_page()
    files[Path("asyncapi.json")] = _json(asyncapi_document())
    return files


def differing_files(docs: Path) -> list[Path]:
    """The files below `docs` that are missing, outdated, or schemas of messages that are no more."""
    expected = generated_files()
    paths = [docs / "messages.md", docs / "asyncapi.json", *(docs / "schemas").glob("*.json")]
    found = {path.relative_to(docs): path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))


def write_files(docs: Path) -> None:
    """Make the files below `docs` what they should be."""
    expected = generated_files()
    for path in differing_files(docs):
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        if path in expected:
            (docs / path).write_text(expected[path], encoding="utf-8")
        else:
            (docs / path).unlink()


def messages_page() -> str:
    """docs/messages.md: who says what to whom, on which subject."""
    parts = [
        "# Messages",
        "Generated from the contracts (`.venv/bin/python -m taskmill.contracts.generate`); do not edit. Each model's "
        "JSON Schema is in [schemas/](schemas/); [asyncapi.json](asyncapi.json) says all of this for programs "
        "(AsyncAPI 3). How events are followed: [Subscribing](subscribing.md).",
        "## Requests",
        "Sent by the gateway and answered by a task store: core NATS, queue group `task-store`. An error is answered "
        "with the headers `Nats-Service-Error` and `Nats-Service-Error-Code` (ADR-32) and a "
        f"{_link('Problem')} as the body. A reply above 512 KiB may be deflated (`Content-Encoding: deflate`).",
        _table(
            ["subject", "request", "reply", "what it asks"],
            [
                [f"`{command.subject}`", _link(command.request), _link(command.reply), _summary(command.request)]
                for command in COMMANDS
            ],
        ),
        "Requests of one moment may travel together, as a bundle, to "
        f"`{', '.join(subjects.bundle(command.subject) for command in BUNDLED)}`: at most "
        f"{MAX_REQUESTS_IN_A_BUNDLE}, of at most {MAX_BUNDLED_REQUEST_BYTES // 1024} KiB each. The bodies follow one "
        "another; the header `Taskmill-Bundle` tells their sizes in bytes (`512,498`). The reply has a part for each "
        "request, in their order: the header block of its reply, often empty, and the body (`0:640,87:212`).",
        "## Published messages",
        _table(
            ["subject", "model", "from", "to", "what it is"],
            [
                [f"`{one.subject}`", _link(one.model), one.publisher, one.consumer, _summary(one.model)]
                for one in MESSAGES
            ],
        ),
        "## Events",
        "The `type` of a CloudEvents document tells what its `data` is. `sequence` is the task's version.",
        _table(
            ["type", "data", "what happened"],
            [
                [f"`{event_type.cloud_event_type}`", _link(data), _summary(data)]
                for event_type, data in EVENT_DATA.items()
            ],
        ),
        "## Reports",
        f"The parts of a {_link(ReportBundle)}, told apart by `type`.",
        _table(["type", "what it says"], [[f"`{name}`", text] for name, text in _reports().items()]),
        "## Streams",
        _table(
            ["stream", "subjects", "retention", "what it holds"],
            [
                [f"`{spec.name}`", f"`{', '.join(spec.all_subjects)}`", spec.retention.value, _first_line(make.__doc__)]
                for make, spec in [
                    (streams.work_stream, streams.work_stream()),
                    (streams.reports_stream, streams.reports_stream(max_bytes=0)),
                    (streams.events_stream, streams.events_stream(max_bytes=0, max_age_seconds=0)),
                    (streams.set_aside_stream, streams.set_aside_stream()),
                ]
            ],
        ),
        "## Users of NATS",
        "What each may publish to, and subscribe to: NATS refuses everything else. "
        "[Operations](operations.md#who-may-do-what-on-nats) says how they are made.",
        *(part for user in USERS for part in _rights(user)),
        "## Errors",
        "The `code` of a Problem. It is stable: programs may branch on it.",
        _table(
            ["code", "meaning"],
            [[f"`{code}`", _first_line(error.__doc__)] for code, error in sorted(error_codes().items())],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _rights(user: NatsUser) -> list[str]:
    rows = [["publishes", _told(user.publishes)], ["hears", _told(user.subscribes)]]
    return [f"### {user.name}", user.summary, _table(["", ""], rows)]


def _told(allowed: tuple[str, ...]) -> str:
    """Subjects; commands by their verbs, and those of JetStream's API by the streams that they are of."""
    command, api = subjects.COMMAND_SUBJECTS.removesuffix(">"), "$JS.API."
    verbs, others = [], []
    streams_of: dict[str, list[str]] = defaultdict(list)
    for subject in allowed:
        operation, stream, rest = re.fullmatch(r"(.*?)(?:\.(TASK_\w+))?(\.[*>])?", subject).groups("")  # type: ignore[union-attr]
        if subject.startswith(command) and subject != subjects.COMMAND_SUBJECTS:
            verbs.append(f"`{subject.removeprefix(command)}`")
        elif subject.startswith(api) and stream:
            streams_of[f"`{operation}.<stream>{rest}`"].append(f"`{stream}`")
        else:
            others.append(f"`{subject}`")
    operations_of: dict[str, list[str]] = defaultdict(list)
    for operation, names in streams_of.items():
        operations_of[", ".join(names)].append(operation)
    told = [f"`{command}<command>`: {', '.join(verbs)}"] if verbs else []
    told += [f"of {names}: {', '.join(operations)}" for names, operations in operations_of.items()]
    return "<br>".join([*told, ", ".join(others)])


def _schema(model: type[BaseModel]) -> str:
    return _json({"$schema": SCHEMA_DIALECT, **model.model_json_schema()})


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _reports() -> dict[str, str]:
    schema = ReportBundle.model_json_schema()
    names = schema["properties"]["reports"]["items"]["discriminator"]["mapping"]
    definitions = schema["$defs"]
    return {
        name: _first_line(definitions[reference.rpartition("/")[2]]["description"]) for name, reference in names.items()
    }


def _link(model: type[BaseModel] | str) -> str:
    name = model if isinstance(model, str) else model.__name__
    return f"[{name}](schemas/{name}.json)"


def _summary(model: type[BaseModel]) -> str:
    return _first_line(model.__doc__)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taskmill.contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file would change")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder (default: docs)")
    options = parser.parse_args(arguments)
    if not options.check:
        write_files(options.docs)
        return 0
    differing = differing_files(options.docs)
    for path in differing:
        sys.stderr.write(f"{options.docs / path} differs from the contracts; run `python -m {__spec__.name}`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
