"""Makes HTML of what the store tells."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts.api_keys import Scope
from taskmill.contracts.events import EventType
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.gateway.api.admission import known_caller
from taskmill.gateway.ui.route import PREFIX
from taskmill.runtime.clock import Clock

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

MAX_SHOWN_CHARS = 64 * 1024
"""A JSON value is written over several lines if it takes no more than this, and no more than this is shown of one:
over lines, 256 KiB may take 8 MB."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_TENTHS_MATTER = 10


class Renderer:
    """Renders templates.

    Args:
        version: Of Taskmill; the addresses of scripts and styles have it, so that browsers may keep them.
        now: The clock.
        has_login: Whether there is somebody to be.
        shows_payloads: Whether payloads and results are shown.
    """

    def __init__(self, *, version: str, now: Clock, has_login: bool, shows_payloads: bool) -> None:
        self._now = now
        self._environment = Environment(
            loader=PackageLoader("taskmill.gateway.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "ago": self._ago,
            "duration": duration,
            "shown": shown,
            "count": count,
        }
        self._environment.globals |= {
            "ui": PREFIX,
            "version": version,
            "has_login": has_login,
            "shows_payloads": shows_payloads,
            "event_types": " ".join(EventType),
            "statuses": list(TaskStatus),
            "priorities": list(Priority),
        }

    def __call__(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Answer with a page."""
        caller = known_caller(request.scope)
        scopes = frozenset() if caller is None else caller.scopes
        html = self._environment.get_template(template).render(
            caller=None if caller is None else caller.name,
            may={scope.name.lower(): scope in scopes for scope in Scope},
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            **values,
        )
        return Response(html, status, headers=dict(PAGE_HEADERS), media_type="text/html")

    def _ago(self, moment: datetime | None) -> Markup:
        """A moment, as the time that has passed since, or will pass until then; the page keeps it right."""
        if moment is None:
            return Markup("—")
        exact = moment.isoformat(timespec="milliseconds")
        seconds = (self._now() - moment).total_seconds()
        said = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, exact, said)


def duration(seconds: float | None) -> str:
    """A span of time for people: two figures at most."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _TENTHS_MATTER:
        return f"{seconds:.1f} s"
    return next(f"{seconds // unit:.0f} {name}" for unit, name in _UNITS if seconds >= 2 * unit or unit == 1)


class ShownJson(NamedTuple):
    """A JSON value as a page shows it.

    Attributes:
        text: It, or its beginning.
        is_cut: Whether there is more of it.
    """

    text: str
    is_cut: bool


def shown(value: JsonValue, most: int = MAX_SHOWN_CHARS) -> ShownJson:
    """A JSON value to look at, of so many characters at most: as `pretty`, or else the beginning of its one line."""
    text = pretty(value, most)
    return ShownJson(text[:most], len(text) > most)


def pretty(value: JsonValue, most: int = MAX_SHOWN_CHARS) -> str:
    """A JSON value, whole: over several lines, or on one if that would take more characters than so many."""
    written: list[str] = []
    length = 0
    # Piece by piece, for most of 8 MB need not be written to see that it is too much.
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        length += len(piece)
        if length > most:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        written.append(piece)
    return "".join(written)


def count(number: int | None, most: int | None = None) -> str:
    """A number for people; one that was counted no further says so."""
    if number is None:
        return "…"
    return f"{number:,}+" if most is not None and number >= most else f"{number:,}"


def seconds_between(first: datetime | None, then: datetime | None) -> float | None:
    """How long it was from one moment to another; None: one of them has not come."""
    return None if first is None or then is None else max(0.0, (then - first).total_seconds())
