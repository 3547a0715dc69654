"""Reads bundles of reports."""

from collections.abc import Callable

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from taskmill.contracts.errors import InvalidJsonError
from taskmill.contracts.json_text import check_json
from taskmill.contracts.reports import Report, ReportBundle

_log = structlog.get_logger(__name__)

_REPORT: TypeAdapter[Report] = TypeAdapter(Report)

# What a result must not hold. Looked for in the whole bundle, for there is next to never any; then in each report.
_SIGNS_OF_TROUBLE = (b"\\u0000", b"NaN", b"Infinity")


def _ignore() -> None:
    """Nobody wants to know."""


def read_bundle(data: bytes, on_unreadable: Callable[[], None] = _ignore) -> ReportBundle | None:
    """Read a bundle. Reports in it that cannot be read are logged and left out; the others count.

    Args:
        data: What was sent.
        on_unreadable: Called once if any of it cannot be read.

    Returns:
        None when nothing of it can be read.
    """
    if any(sign in data for sign in _SIGNS_OF_TROUBLE):
        return _salvage(data, on_unreadable)
    try:
        return ReportBundle.model_validate_json(data)
    except ValidationError:
        return _salvage(data, on_unreadable)


def _salvage(data: bytes, on_unreadable: Callable[[], None]) -> ReportBundle | None:
    try:
        raw = from_json(data)
        readable = [report for entry in raw["reports"] if (report := _read_report(entry)) is not None]
        unreadable = len(raw["reports"]) - len(readable)
        bundle = ReportBundle(processor_id=raw["processor_id"], reports=readable)
    except (ValueError, LookupError, TypeError):
        on_unreadable()
        return None
    if unreadable:
        _log.error("reports.unreadable", unreadable=unreadable, readable=len(readable))
        on_unreadable()
    return bundle


def _read_report(entry: object) -> Report | None:
    try:
        text = to_json(entry, inf_nan_mode="constants")
        check_json(text)
        return _REPORT.validate_json(text)
    except (InvalidJsonError, ValueError):  # pydantic's complaints are of the latter
        return None
