"""Writes what the repository's files say of the settings, from their models.

.env.example has every variable, what it means, and its default. docker-compose.yml hands every variable on to its
service: those lines are written anew, the others kept. So is the block of docker/nats-users.conf that says what the
users of NATS may do.

Run `python -m taskmill.cli.settings_files` in the repository's root, or with `--check`, which writes nothing and ends
with 1 if a file differs.
"""

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from taskmill.cli.embedded.nats_users import SERVICES_USER, authorization, with_password
from taskmill.cli.settings import StackSettings
from taskmill.contracts import permissions
from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.settings import (
    HealthSettings,
    LogSettings,
    MetricsSettings,
    NatsSettings,
    Settings,
    variable_name,
)
from taskmill.sdk.subscribing.settings import SubscriberSettings
from taskmill.task_store.settings import TaskStoreSettings

SECTIONS: dict[str, type[Settings]] = {
    "Every service": NatsSettings,
    "Logs of every service": LogSettings,
    "Health of the task store and the processor": HealthSettings,
    "Metrics of the task store and the processor": MetricsSettings,
    "taskmill up (make run)": StackSettings,
    "Gateway": GatewaySettings,
    "Task store": TaskStoreSettings,
    "Processor": ProcessorSettings,
    "Subscribers with taskmill.sdk.subscribing": SubscriberSettings,
}

SERVICES: dict[str, type[Settings]] = {
    "task-store": TaskStoreSettings,
    "processor": ProcessorSettings,
    "gateway": GatewaySettings,
}

NOT_HANDED_ON = {"TASKMILL_PROCESSOR_ID", "TASKMILL_NATS_NKEY_FILE", "TASKMILL_NATS_NKEY_SEED"}
"""Cannot be the same in every container: docker-compose.prod.yml hands each service its own key."""


def env_example() -> str:
    """The text of .env.example. A variable that several services read stands where it comes first."""
    seen: set[str] = set()
    parts = ["# Taskmill's settings with their defaults. Copy to .env, or set in the environment, which beats .env."]
    for title, settings in SECTIONS.items():
        new = {variable: field for variable, field in _variables(settings).items() if variable not in seen}
        if new:
            parts.append(f"\n# --- {title}")
            parts += [_entry(variable, field) for variable, field in new.items()]
        seen |= new.keys()
    return "\n".join(parts) + "\n"


def compose_file(text: str) -> str:
    """The text of docker-compose.yml with the settings of each service below the comment that announces them.

    A variable that the file itself gives a value, anywhere, is left out.

    Args:
        text: The file as it is.
    """
    left_out = NOT_HANDED_ON.union(re.findall(r"(TASKMILL_\w+): \S", text))
    for service, settings in SERVICES.items():
        lines = "".join(f"      {variable}:\n" for variable in _variables(settings) if variable not in left_out)
        text = re.sub(rf"(# Settings of {service}: .*\n)(?: *TASKMILL_\w+:\n)*", rf"\g<1>{lines}", text)
    return text


def nats_configuration(text: str) -> str:
    """The text of docker/nats-users.conf with the users of NATS.

    Args:
        text: The file as it is.
    """
    reader = permissions.READER
    block = authorization(
        [
            with_password(SERVICES_USER, "$TASKMILL_NATS_PASSWORD"),
            with_password(reader.name, "$TASKMILL_NATS_READER_PASSWORD", reader),
        ]
    )
    return re.sub(r"^authorization \{\n.*?^\}\n", lambda _: block, text, flags=re.MULTILINE | re.DOTALL)


def _variables(settings: type[Settings]) -> dict[str, FieldInfo]:
    return {variable_name(name, field): field for name, field in settings.model_fields.items()}


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
    """Write the files, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taskmill.cli.settings_files", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file would change")
    options = parser.parse_args(arguments)
    example, compose, nats = Path(".env.example"), Path("docker-compose.yml"), Path("docker/nats-users.conf")
    texts = {
        example: env_example(),
        compose: compose_file(compose.read_text(encoding="utf-8")),
        nats: nats_configuration(nats.read_text(encoding="utf-8")),
    }
    if not options.check:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stderr.write(f"{path} differs from the settings; run `make generate`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
