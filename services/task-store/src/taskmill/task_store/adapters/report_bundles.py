"""Reads bundles of reports."""

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


def read_bundle(data: bytes) -> ReportBundle | None:
    """Read a bundle. Reports in it that cannot be read are logged and left out; the others count.

    Returns:
        None when nothing of it can be read.
    """
    if any(sign in data for sign in _SIGNS_OF_TROUBLE):
        return _salvage(data)
    try:
        return ReportBundle.model_validate_json(data)
    except ValidationError:
        return _salvage(data)


def _salvage(data: bytes) -> ReportBundle | None:
    try:
        raw = from_json(data)
        readable = [report for entry in raw["reports"] if (report := _read_report(entry)) is not None]
        _log.error("reports.unreadable", unreadable=len(raw["reports"]) - len(readable), readable=len(readable))
        return ReportBundle(processor_id=raw["processor_id"], reports=readable)
    except (ValueError, LookupError, TypeError):
        return None


def _read_report(entry: object) -> Report | None:
    try:
        text = to_json(entry, inf_nan_mode="constants")
        check_json(text)
        return _REPORT.validate_json(text)
    except (InvalidJsonError, ValidationError):
        return None
