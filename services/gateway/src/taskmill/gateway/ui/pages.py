"""What every page of the dashboard has in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope as AsgiScope

from taskmill.contracts.api_keys import Scope
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.ui.rendering import Renderer

Answer = Callable[[Request], Awaitable[Response]]


class Page(NamedTuple):
    """An address of the dashboard.

    Attributes:
        method: GET or POST.
        path: A path as Starlette's routes have it, behind `/ui`.
        scope: What it takes to ask for it; None: anybody may.
        answer: Answers.
    """

    method: str
    path: str
    scope: Scope | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class Parts:
    """What pages are made of.

    Attributes:
        store: The task store.
        render: Makes the HTML.
        admit: Makes sure that somebody may look at tasks at all; raises what `Admission.admit` does.
        new_id: Makes the id of a new task or bulk operation.
        payloads: Finds payloads that cannot fit.
        trace_url: Where a trace can be seen, with `{trace_id}` in place of its id; None: nowhere.
        shows_payloads: Whether payloads and results are shown.
    """

    store: Store
    render: Renderer
    admit: Callable[[AsgiScope], Awaitable[object]]
    new_id: Callable[[], UUID]
    payloads: PayloadCheck
    trace_url: str | None
    shows_payloads: bool


_Method = TypeVar("_Method", bound=Callable[..., Any])


def page(method: str, path: str, scope: Scope | None) -> Callable[[_Method], _Method]:
    """Declare the address that a method of a class of pages answers."""

    def declare(endpoint: _Method) -> _Method:
        endpoint.__dict__["page"] = (method, path, scope)
        return endpoint

    return declare


def declared_pages(pages: object) -> list[Page]:
    """The addresses that the methods of an object answer."""
    members = [getattr(pages, name) for name in vars(type(pages))]
    addresses = [(*getattr(member, "page", ()), member) for member in members]
    return [Page._make(address) for address in addresses if len(address) == len(Page._fields)]


def is_fragment(request: Request) -> bool:
    """Whether a part of a page is asked for, by htmx."""
    return "hx-request" in request.headers


def see(address: str, request: Request) -> Response:
    """Lead the browser to another page."""
    if is_fragment(request):
        return Response(status_code=204, headers={"HX-Redirect": address})
    return Response(status_code=303, headers={"Location": address})
