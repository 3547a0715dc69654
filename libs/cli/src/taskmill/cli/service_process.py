"""One service of Taskmill as a child process."""

import sys
from collections.abc import Mapping
from pathlib import Path

from taskmill.cli.child_process import ChildProcess


class ServiceProcess(ChildProcess):
    """`python -m taskmill.<module>` with its settings in the environment."""

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        data_dir: Path,
        environment: Mapping[str, str],
        stop_within_seconds: float,
        url: str | None = None,
        has_health_file: bool = False,
    ) -> None:
        """Describe the service; nothing runs yet.

        Args:
            name: What people call it; also the name of its log and pid file.
            module: The module to run, such as "taskmill.gateway".
            *arguments: What follows on the command line.
            data_dir: The stack's directory, in which `logs` and `run` are made.
            environment: All its environment variables.
            stop_within_seconds: How long it may drain before it is killed.
            url: Where it can be reached from outside the stack; None for nowhere.
            has_health_file: Whether it tells by a file that it is well, for `is_well`.
        """
        super().__init__(
            name,
            pid_file=data_dir / "run" / f"{name}.pid",
            log_file=data_dir / "logs" / f"{name}.log",
            stop_within_seconds=stop_within_seconds,
        )
        self.url = url
        self._command = (sys.executable, "-m", module, *arguments)
        self._health_file = data_dir / "run" / f"{name}.health" if has_health_file else None
        health = {} if self._health_file is None else {"TASKMILL_HEALTH_FILE": str(self._health_file)}
        self._environment = {**environment, **health}

    @property
    def is_well(self) -> bool:
        """Whether it has said that it serves; one without a health file is taken for well."""
        return self._health_file is None or self._health_file.exists()

    async def start(self) -> None:
        """Start it; it may not be ready when this returns."""
        if self._health_file is not None:
            # One that was killed left it behind.
            self._health_file.unlink(missing_ok=True)
        await self.spawn(self._command, environment=self._environment)
