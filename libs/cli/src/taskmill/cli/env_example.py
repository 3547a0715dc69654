"""Writes .env.example from the settings models: every variable, what it means, and its default.

Run `python -m taskmill.cli.env_example` in the repository's root, or with `--check`, which writes nothing and ends
with 1 if the file differs.
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from taskmill.cli.settings import StackSettings
from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.settings import HealthSettings, LogSettings, NatsSettings, Settings, variable_name
from taskmill.task_store.settings import TaskStoreSettings

SECTIONS: dict[str, type[Settings]] = {
    "Every service": NatsSettings,
    "Logs of every service": LogSettings,
    "Health of the task store and the processor": HealthSettings,
    "taskmill up (make run)": StackSettings,
    "Gateway": GatewaySettings,
    "Task store": TaskStoreSettings,
    "Processor": ProcessorSettings,
}


def env_example() -> str:
    """The text of .env.example. A variable that several services read stands where it comes first."""
    seen: set[str] = set()
    parts = ["# Taskmill's settings with their defaults. Copy to .env, or set in the environment, which beats .env."]
    for title, settings in SECTIONS.items():
        fields = {variable_name(name, field): field for name, field in settings.model_fields.items()}
        new = {variable: field for variable, field in fields.items() if variable not in seen}
        if new:
            parts.append(f"\n# --- {title}")
            parts += [_entry(variable, field) for variable, field in new.items()]
        seen |= new.keys()
    return "\n".join(parts) + "\n"


def _entry(variable: str, field: FieldInfo) -> str:
    description = textwrap.fill(_description(variable, field), 118, initial_indent="# ", subsequent_indent="# ")
    default = None if field.default_factory is not None else field.default
    return f"\n{description}\n# {variable}={_text(default)}"


def _description(variable: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    others = [str(name) for name in alias.choices if name != variable] if isinstance(alias, AliasChoices) else []
    return " ".join([field.description or "", *(f"{name} is understood, too; {variable} beats it." for name in others)])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taskmill.cli.env_example", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the file would change")
    options = parser.parse_args(arguments)
    path = Path(".env.example")
    if not options.check:
        path.write_text(env_example(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == env_example():
        return 0
    sys.stderr.write(f"{path} differs from the settings; run `make generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
