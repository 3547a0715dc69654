"""CPU time and memory of processes, from /proc (Linux): our own by name, and what others took meanwhile."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# The first line of /proc/stat (man 5 proc_stat): user, nice, system, idle, iowait, irq, softirq, steal, …
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class CpuUse:
    """What was used between two moments.

    Attributes:
        seconds: How long it was.
        by_process: CPU seconds of each named process together with its children.
        others: CPU seconds of everything that this process did not start, stolen time of a virtual machine included.
    """

    seconds: float
    by_process: Mapping[str, float]
    others: float

    @property
    def others_share(self) -> float:
        """The part of all cores that others took, 0 to 1."""
        return self.others / (self.seconds * (os.cpu_count() or 1))


class CpuMeter:
    """Measures from when it is made.

    Args:
        pids: The processes to tell of, by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._began_at = time.monotonic()
        self._first = _reading(pids)

    def read(self) -> CpuUse:
        """What was used since the meter was made."""
        last = _reading(self._pids)
        first = self._first
        return CpuUse(
            seconds=time.monotonic() - self._began_at,
            by_process={name: last.by_process[name] - first.by_process[name] for name in self._pids},
            # Ticks are counted at different moments: a little less than nothing is nothing.
            others=max(0.0, (last.busy - first.busy) - (last.ours - first.ours)),
        )


def resident_mb(pid: int) -> float:
    """The resident memory of one process, in MB (10^6 bytes)."""
    pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class _Reading:
    busy: float
    ours: float
    by_process: Mapping[str, float]


def _reading(pids: Mapping[str, int]) -> _Reading:
    children, seconds = _all_processes()

    def tree(pid: int) -> float:
        return seconds.get(pid, 0.0) + sum(tree(child) for child in children.get(pid, ()))

    return _Reading(
        busy=_busy_seconds(), ours=tree(os.getpid()), by_process={name: tree(pid) for name, pid in pids.items()}
    )


def _all_processes() -> tuple[Mapping[int, list[int]], Mapping[int, float]]:
    """The children of each process, and the CPU seconds of each: its own, and those of children that have ended."""
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for directory in _PROC.iterdir():
        if not directory.name.isdigit():
            continue
        try:
            # The name in parentheses may have spaces, and parentheses, too.
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(directory.name)
        children.setdefault(int(fields[1]), []).append(pid)
        # utime, stime, cutime and cstime, which are fields 14 to 17 of the whole line.
        seconds[pid] = sum(int(field) for field in fields[11:15]) / _TICKS_PER_SECOND
    return children, seconds


def _busy_seconds() -> float:
    fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[number]) for number in _BUSY_FIELDS) / _TICKS_PER_SECOND
