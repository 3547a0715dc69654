"""Pages of the dashboard, of what a store answers that is not there."""

import html
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from taskmill.contracts import registry
from taskmill.contracts.registry import Command
from taskmill.gateway.adapters.callers import Callers
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.event_endpoints import EventEndpoints
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.domain.callers import local_developer
from taskmill.gateway.ui.app import create_dashboard
from taskmill.runtime.clock import utc_now
from tests.support.gateway import NEW_TASK_ID, NoFeed, RememberingStore, client_of

LISTS = [
    (
        "queues",
        registry.LIST_QUEUES,
        examples.QUEUE_PAGE,
        f"queues/{examples.QUEUE['name']}/pause",
        registry.PAUSE_QUEUE,
    ),
    (
        "processors",
        registry.LIST_PROCESSORS,
        examples.PROCESSOR_PAGE,
        f"processors/{examples.PROCESSOR['id']}/drain",
        registry.DRAIN_PROCESSOR,
    ),
    ("schedules", registry.LIST_SCHEDULES, examples.SCHEDULE_PAGE, None, None),
    ("webhooks", registry.LIST_WEBHOOKS, examples.WEBHOOK_PAGE, None, None),
]


@pytest_asyncio.fixture
async def client(store: RememberingStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a dashboard that asks `store`."""
    asked = Store(store)
    dashboard = create_dashboard(
        asked,
        EventEndpoints(asked, Log(asked), NoFeed()),
        PayloadCheck(PayloadSchemas(asked)),
        admission=Admission(Callers(KeyRing(asked), None, local_developer())),
        version="1",
        now=utc_now,
        new_id=lambda: NEW_TASK_ID,
        trace_url=None,
        shows_payloads=True,
    )
    async with client_of(dashboard) as client:
        yield client


def links(answer: httpx.Response) -> list[tuple[str, str]]:
    """Where the buttons below a list lead."""
    assert answer.status_code == httpx.codes.OK, answer.text
    return re.findall(r'<a class="button"(?: rel="next")? href="([^"]+)">(First|Next) page', answer.text)


@pytest.mark.parametrize(("name", "command", "page", "action", "acted"), LISTS, ids=[one[0] for one in LISTS])
async def test_a_list_is_shown_page_by_page(
    client: httpx.AsyncClient,
    store: RememberingStore,
    name: str,
    command: Command,
    page: dict[str, Any],
    action: str | None,
    acted: Command | None,
) -> None:
    """A page leads to the next, is fetched anew as it is, and what is done on it comes back to it."""
    store.answers(command, {**page, "next_cursor": "abc"})
    first = await client.get(f"/ui/{name}")
    assert links(first) == [(f"/ui/{name}?cursor=abc", "Next")]
    store.answers(command, {**page, "next_cursor": "xyz"})
    second = await client.get(f"/ui/{name}?cursor=abc")
    both = [(f"/ui/{name}", "First"), (f"/ui/{name}?cursor=xyz", "Next")]
    assert links(second) == both
    assert [asked["cursor"] for _, asked in store.asked] == [None, "abc"]
    if 'id="results"' in second.text:
        assert f'hx-get="/ui/{name}?cursor=abc"' in second.text
    if acted is not None:
        assert f'hx-post="/ui/{action}?cursor=abc"' in second.text
        store.answers(acted, page["items"][0])
        done = await client.post(f"/ui/{action}?cursor=abc", data={"x": ""}, headers={"HX-Request": "true"})
        assert links(done) == both
    store.answers(command, {"items": [], "next_cursor": None})
    assert links(await client.get(f"/ui/{name}?cursor=abc")) == [(f"/ui/{name}", "First")]
    assert links(await client.get(f"/ui/{name}")) == []
    asked = len(store.asked)
    assert (await client.get(f"/ui/{name}?cursor=a.b")).status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert len(store.asked) == asked


def nested(levels: int, numbers: int) -> Any:
    """Many numbers that are nested deeply: indented, each takes a line of its own and two spaces for each level."""
    value: Any = [1] * numbers
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [nested(31, 100_000), ['"'] * 50_000, "'" * 250_000, ["<&>"] * 40_000],
    ids=["deep", "quotes", "apostrophes", "marks"],
)
async def test_a_page_stays_small(client: httpx.AsyncClient, store: RememberingStore, value: Any) -> None:
    """Whatever a payload and a result are: their beginning is shown on one line, and where the rest is."""
    event = {**examples.EVENT, "data": {**examples.EVENT["data"], "result": nested(28, 1_500)}}
    store.answers(registry.GET, {**examples.TASK, "is_run_active": False, "payload": value, "result": value})
    store.answers(registry.ATTEMPTS, {"items": []})
    store.answers(registry.LINES, {"items": [], "dropped": 0})
    store.answers(registry.EVENTS, {"items": [event] * 200})
    path = f"/ui/tasks/{examples.TASK_ID}"
    page = await client.get(path)
    assert page.status_code == httpx.codes.OK, page.text
    assert len(page.content) < 3_000_000
    hint = f"These are the first 65,536 characters. <code>GET /tasks/{examples.TASK_ID}</code> has all of it."
    assert page.text.count(hint) == 2
    assert f"<code>GET /tasks/{examples.TASK_ID}/events</code> has all of it." in page.text
    # What is edited, or made once more, is there whole.
    for form in (f"{path}/edit", f"/ui/tasks/new?from={examples.TASK_ID}"):
        shown = await client.get(form)
        typed = html.unescape(shown.text.split('name="payload"')[1].partition(">")[2].partition("</textarea")[0])
        assert json.loads(typed) == value
        assert len(shown.content) < 3_000_000


async def test_an_edit_tells_true_from_1(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """They are equal to Python, but not to who reads the payload; what is the same is no change."""
    same: dict[str, Any] = {"title": "T", "description": None, "labels": {}}
    task = {**examples.TASK, **same, "is_run_active": False, "payload": {"on": 1}}
    store.answers(registry.GET, task)
    store.answers(registry.UPDATE, task)
    form = {"title": "T", "description": "", "labels": "", "revision": "1"}
    path = f"/ui/tasks/{examples.TASK_ID}"
    for payload in ('{ "on": 1 }', '{"on": true}'):
        answer = await client.post(f"{path}/edit", data={**form, "payload": payload}, headers={"HX-Request": "true"})
        assert answer.headers["HX-Redirect"] == path, answer.text
    assert [asked["changes"] for command, asked in store.asked if command == registry.UPDATE.subject] == [
        {"payload": {"on": True}}
    ]


async def test_what_nobody_touched_is_no_change(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A form brings a title in one line without the spaces around it, and a text with line ends of its own."""
    task = {**examples.TASK, "title": " T\nt ", "description": "\na\r\nb\nc\rd", "labels": {}, "is_run_active": True}
    store.answers(registry.GET, task)
    store.answers(registry.UPDATE, task)
    path = f"/ui/tasks/{examples.TASK_ID}"
    shown = await client.get(f"{path}/edit")
    # A browser passes over the line end that comes first there: it is not that of the description.
    assert 'name="description" rows="3">\n\na\r\nb' in shown.text
    form = {"title": " Tt ", "description": "\r\na\r\nb\r\nc\r\nd", "labels": "", "revision": "1"}
    answer = await client.post(f"{path}/edit", data=form, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == path, answer.text
    answer = await client.post(f"{path}/edit", data={**form, "labels": "a: b"}, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == path, answer.text
    assert [asked["changes"] for command, asked in store.asked if command == registry.UPDATE.subject] == [
        {"labels": {"a": "b"}}
    ]
