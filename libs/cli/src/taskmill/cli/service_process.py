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
        """
        super().__init__(
            name,
            pid_file=data_dir / "run" / f"{name}.pid",
            log_file=data_dir / "logs" / f"{name}.log",
            stop_within_seconds=stop_within_seconds,
        )
        self.url = url
        self._command = (sys.executable, "-m", module, *arguments)
        self._environment = environment

    async def start(self) -> None:
        """Start it; it may not be ready when this returns."""
        await self.spawn(self._command, environment=self._environment)
