"""What can be known of a task from its events alone."""

from typing import Any

import orjson


class FoldedTask:
    """A task as somebody sees it who knows its events only."""

    def __init__(self) -> None:
        self.version = 0
        self.fields: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []

    def take(self, text: str | bytes) -> None:
        """Apply one event, given as its document."""
        document = orjson.loads(text)
        assert document["sequence"] == self.version + 1, "a version is missing"
        self.version = document["sequence"]
        data = document["data"]
        shared = {name: data.pop(name) for name in ("kind", "queue", "status", "revision", "run", "attempt")}
        self.fields.update(shared)
        event_type = document["type"].split(".")[2]
        if event_type == "updated":
            self.fields.update(data["changes"])
        elif event_type == "queued":
            is_new_run = data.pop("reason") == "process"
            assert data["dispatch"] == self.fields.get("dispatch", 0) + 1, "a dispatch is not new"
            cleared = {"started_at": None, "progress": None, "processor_id": None, "run_at": None}
            self.fields.update(cleared, **data, delivery=0)
            if is_new_run:
                self.fields.update(error=None, result=None, finished_at=None)
        elif event_type == "scheduled":
            self._take_scheduled(data)
        elif event_type == "started":
            self.fields.update(data, progress=None)
        elif event_type == "logged":
            self.lines += data["lines"]
        elif event_type in {"completed", "failed", "cancelled"}:
            assert (data.pop("cancellation") == "too_late") == (
                event_type != "cancelled" and self.fields.get("cancel_requested_at") is not None
            )
            if event_type == "completed":
                self.fields.update(error=None)
            self.fields.update(data, cancel_requested_at=None, run_at=None)
        else:
            self.fields.update(data)

    def _take_scheduled(self, data: dict[str, Any]) -> None:
        reason, error = data.pop("reason"), data.pop("error")
        self.fields.update(data, started_at=None, progress=None, processor_id=None)
        assert (error is not None) == (reason == "retry")
        if reason == "retry":
            self.fields.update(error=error)
        elif reason == "run_at":
            self.fields.update(error=None, result=None, finished_at=None)
