"""What is to be reported, in order, until it is cut into bundles."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.messages import fits_bundle


@dataclass(slots=True, eq=False)
class QueuedReport:
    """A report that waits to be sent.

    Attributes:
        text: The report as JSON.
        ended_attempt: The attempt whose end it tells: its work item is acknowledged once the report is stored.
        on_stored: Called once the report is stored.
    """

    text: bytes
    ended_attempt: HeldAttempt | None = None
    on_stored: Callable[[], None] | None = None


class ReportQueue:
    """Reports in order, at most one under a key: a newer one takes the place of the older."""

    def __init__(self) -> None:
        self._reports: dict[Hashable, QueuedReport] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def size_bytes(self) -> int:
        """Bytes of all reports that wait."""
        return self._size_bytes

    def put(self, key: Hashable, report: QueuedReport) -> None:
        """Queue a report; if one waits under the key, it is replaced where it stands."""
        replaced = self._reports.get(key)
        if replaced is not None:
            self._size_bytes -= len(replaced.text)
        self._reports[key] = report
        self._size_bytes += len(report.text)

    def discard(self, key: Hashable) -> None:
        """Take back the report under the key, if it still waits."""
        report = self._reports.pop(key, None)
        if report is not None:
            self._size_bytes -= len(report.text)

    def cut(self) -> list[QueuedReport]:
        """Take out the next reports that fit one bundle, at least one; empty when none waits."""
        taken: list[QueuedReport] = []
        size = 0
        for report in self._reports.values():
            if taken and not fits_bundle(size, report.text):
                break
            taken.append(report)
            size += len(report.text) + 1
        if len(taken) == len(self._reports):
            self._reports = {}
        else:
            for key in list(self._reports)[: len(taken)]:
                del self._reports[key]
        self._size_bytes -= sum(len(report.text) for report in taken)
        return taken
