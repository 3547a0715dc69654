"""Who may see what of the dashboard, and what it does with what it is told; the browser's part is in tests/e2e."""

import html

import httpx

from taskmill.gateway.ui.session import COOKIE
from tests.integration.gateway.test_auth import bearer, guarded_gateway, operator_key
from tests.support.eventually import holds
from tests.support.services import running_gateway
from tests.support.task_store import hello, running_store, store_client

HTMX = {"HX-Request": "true"}


async def _key(client: httpx.AsyncClient, admin: str, *scopes: str) -> str:
    made = await client.post("/keys", json={"name": "somebody", "scopes": list(scopes)}, headers=bearer(admin))
    assert made.status_code == httpx.codes.CREATED, made.text
    return str(made.json()["key"])


async def _log_in(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.post("/ui/login", data={"key": key, "next": "/ui/queues"}, headers=HTMX)


async def test_who_has_a_key_logs_in_and_sees_what_it_allows(database_url: str, nats_url: str) -> None:
    """A cookie that only the dashboard gets has the key; whoever may only read is offered nothing else."""
    admin = await operator_key(database_url)
    async with running_store(database_url, nats_url), guarded_gateway(nats_url) as client:
        asked = await client.get("/ui/tasks?status=failed")
        assert (asked.status_code, asked.headers["Location"]) == (303, "/ui/login?next=%2Fui%2Ftasks%3Fstatus%3Dfailed")
        for wrong in ("", "tm_nonsense", "a b", 'x"; Path=/', "é"):
            refused = await _log_in(client, wrong)
            assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
            assert "set-cookie" not in refused.headers
        let_in = await _log_in(client, admin)
        assert let_in.headers["HX-Redirect"] == "/ui/queues"
        cookie = let_in.headers["set-cookie"]
        assert {"HttpOnly", "Path=/ui", "SameSite=strict"} <= set(cookie.split("; ")), cookie
        assert "Secure" not in cookie
        # Whoever comes through a proxy that ends TLS.
        behind_proxy = {**HTMX, "Origin": f"https://{client.base_url.netloc.decode()}"}
        by_https = await client.post("/ui/login", data={"key": admin, "next": "/ui/queues"}, headers=behind_proxy)
        assert "Secure" in by_https.headers["set-cookie"].split("; ")
        client.cookies.clear()
        await _log_in(client, admin)
        task = await client.post("/tasks", json={"title": "T"}, headers=bearer(admin))
        path = f"/ui{task.headers['Location']}"
        whole = (await client.get(path)).text
        assert ">Process</" in whole
        assert ">Delete</" in whole
        # The cookie opens the dashboard, and nothing else.
        assert client.cookies.get(COOKIE, path="/ui") == admin
        elsewhere = await client.get("/tasks", headers={"Cookie": f"{COOKIE}={admin}"})
        assert elsewhere.status_code == httpx.codes.UNAUTHORIZED

        await _log_in(client, await _key(client, admin, "tasks:read"))
        read_only = (await client.get(path)).text
        for action in ("Process", "Cancel", "Delete", "Edit", "Clone", "Webhooks"):
            assert f">{action}</" not in read_only, action
        assert (await client.post(f"{path}/process", headers=HTMX, data={"x": ""})).status_code == 403
        assert (await client.get("/ui/webhooks")).status_code == 403
        assert ">Pause</" not in (await client.get("/ui/queues")).text
        # Who may not follow the events has pages that look by themselves.
        assert "data-poll" in read_only
        # Who may not read is shown nothing by what a button answers, and changes nothing.
        for scope, button in (("tasks:cancel", "cancel"), ("tasks:write", "process"), ("tasks:write", "edit")):
            blind = bearer(await _key(client, admin, scope)) | HTMX
            answer = await client.post(f"{path}/{button}", headers=blind, data={"x": ""})
            assert (answer.status_code, "tasks:read" in answer.text) == (403, True), button
        assert (await client.get(task.headers["Location"], headers=bearer(admin))).json()["status"] == "pending"
        out = await client.post("/ui/logout", headers=HTMX, data={"x": ""})
        assert 'taskmill_key=""' in out.headers["set-cookie"]


async def test_a_login_leads_nowhere_else(database_url: str, nats_url: str) -> None:
    """Whatever a link that somebody sent says."""
    key = await operator_key(database_url)
    async with running_store(database_url, nats_url), guarded_gateway(nats_url) as client:
        for wanted in ("https://example.org/", "//example.org/ui/", "/ui/login", "/ui/\\example.org", "x"):
            done = await client.post("/ui/login", data={"key": key, "next": wanted}, headers=HTMX)
            assert done.headers["HX-Redirect"] == "/ui/tasks", wanted


async def test_what_a_task_says_is_text(client: httpx.AsyncClient) -> None:
    """Nothing of it becomes a part of the page; and no page may have scripts of its own."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
    fields = {"title": evil, "description": evil, "labels": {"a": evil[:200]}, "payload": {evil: evil}}
    made = await client.post("/tasks", json=fields)
    for path in ("/ui/tasks", f"/ui{made.headers['Location']}", f"/ui{made.headers['Location']}/edit"):
        answer = await client.get(path)
        assert answer.status_code == httpx.codes.OK, path
        assert "<img" not in answer.text.replace('<img src="/ui/static', ""), path
        assert "alert(1)</script>" not in answer.text
        assert "49" not in answer.text.replace(made.json()["id"], "")[:20_000] or "7 * 7" in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; object-src 'none'")
        assert answer.headers["Cache-Control"] == "no-store"
    searched = await client.get("/ui/tasks", params={"title": '"><script>'})
    assert "<script>" not in searched.text.split("<main")[1].replace('<script type="application/json"', "")


async def test_no_condition_is_out_of_sight(client: httpx.AsyncClient) -> None:
    """What a link asks for beyond the fields of the filter is shown, can be lifted, and outlives another search."""
    await client.post("/tasks", json={"title": "Hers", "concurrency_key": "tenant-17"})
    await client.post("/tasks", json={"title": "Of nobody"})
    found = (await client.get("/ui/tasks?concurrency_key=tenant-17&kind=echo")).text
    assert (">Hers</a>" in found, ">Of nobody</a>" in found) == (True, False)
    assert '<input type="hidden" name="concurrency_key" value="tenant-17">' in found
    assert 'href="/ui/tasks?kind=echo" title="Lift this condition">concurrency key: tenant-17 <' in found
    assert "Lift this condition" not in (await client.get("/ui/tasks?kind=echo&limit=10&title=x")).text


async def test_payloads_may_be_hidden(database_url: str, nats_url: str) -> None:
    """By a setting: payload, result and events are told nowhere, and nothing fills them into a form."""
    secret = "secret-of-the-payload"
    async with (
        running_store(database_url, nats_url),
        running_gateway(nats_url, is_nats_there=False, ui_payloads=False) as client,
    ):

        async def is_there() -> None:
            assert (await client.get("/readyz")).status_code == httpx.codes.OK

        await holds(is_there)
        made = await client.post("/tasks", json={"title": "T", "payload": {"token": secret}})
        path = f"/ui{made.headers['Location']}"
        pages = [path, f"{path}/edit", f"/ui/tasks/new?from={made.json()['id']}", "/ui/tasks"]
        for page in pages:
            answer = await client.get(page)
            assert answer.status_code == httpx.codes.OK, page
            assert secret not in answer.text, page
        assert (await client.get("/ui/events")).status_code == httpx.codes.NOT_FOUND


async def test_what_is_not_there_is_told(client: httpx.AsyncClient) -> None:
    """As a page, and to a page that is open as a notice."""
    missing = "/ui/tasks/01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
    page = await client.get(missing)
    assert (page.status_code, "No such task" in page.text, "<nav" in page.text) == (404, True, True)
    notice = await client.get(missing, headers=HTMX)
    assert (notice.status_code, "No such task" in notice.text, "<nav" in notice.text) == (404, True, False)
    for nowhere in ("/ui/nothing", "/ui/static/x/../app.py", "/ui/static/1/app.py", "/uix"):
        assert (await client.get(nowhere)).status_code == httpx.codes.NOT_FOUND, nowhere
    for name in ("%00", "A%20B", "x" * 300):
        for action in (f"queues/{name}/pause", f"queues/{name}/resume", f"processors/{name}/drain"):
            answer = await client.post(f"/ui/{action}", headers=HTMX, data={"x": ""})
            assert answer.status_code == httpx.codes.NOT_FOUND, action


async def test_a_form_is_checked(client: httpx.AsyncClient) -> None:
    """Whatever is sent in place of one that the dashboard made."""
    assert (await client.post("/ui/tasks/new", data={"title": "x"})).status_code == httpx.codes.FORBIDDEN
    headers = {**HTMX, "Content-Type": "application/json"}
    assert (await client.post("/ui/tasks/new", content="{}", headers=headers)).status_code == 415
    crowded = {f"f{number}": "x" for number in range(2_000)}
    assert (await client.post("/ui/tasks/new", data=crowded, headers=HTMX)).status_code == 422
    large = {"title": "x", "payload": "1" * 800_000}
    assert (await client.post("/ui/tasks/new", data=large, headers=HTMX)).status_code == 413
    for wrong in ({"kind": "echo"}, {"title": "x", "payload": "{"}, {"title": "x", "labels": "no colon"}):
        answer = await client.post("/ui/tasks/new", data=wrong, headers=HTMX)
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, wrong
    assert (await client.get("/tasks")).json()["items"] == []
    assert (await client.get("/ui/tasks", params=crowded)).status_code == httpx.codes.UNPROCESSABLE_ENTITY


BAD_FIELDS = [
    ("title", ["", " ", "a\0", "x" * 201]),
    ("description", ["a\0", "x" * 10_001]),
    ("kind", ["", " ", "A b", "a\0"]),
    (
        "labels",
        ["a: b\nc", "a: b\r\nc", "a: b\na: c", 'a: "b', "a: x\0y", "a\0: x", "A B: x", ": x", "a: " + "x" * 201],
    ),
    ("queue", ["A b", "a\0"]),
    ("concurrency_key", ["a b", "a\0"]),
    ("priority", ["bogus", "a\0"]),
    ("run_at", ["x", "\0", "9" * 20]),
    ("max_attempts", ["x", "0", "1.5", "1e999", '"1"', "9" * 30, "[" * 35 + "]" * 35, "\0"]),
    ("timeout_seconds", ["-1", "true", "NaN", "{}"]),
    (
        "payload",
        ["{", '"\\u0000"', '"\0"', "[" * 33 + "]" * 33, "[" * 39 + "]" * 39, "9" * 30, '"' + "x" * 262_144 + '"'],
    ),
    ("payload.a/b", ["x", "true", "9" * 30, "[" * 33 + "]" * 33]),
    ("payload.list", ["{", "[" * 39 + "]" * 39, "\0"]),
    ("payload.flag", ["maybe", "1"]),
    ("payload.text", ["a\0", ""]),
]


async def test_a_field_says_what_is_wrong_with_it(client: httpx.AsyncClient, nats_url: str) -> None:
    """Each of the form, whatever was typed, and the part that is hidden is opened; nothing stands above all fields."""
    properties: dict[str, object] = {
        "a/b": {"type": "integer"},
        "list": {"type": "array"},
        "flag": {"type": "boolean"},
        "text": {"type": "string", "minLength": 1},
    }
    schema = {"type": "object", "properties": properties, "required": ["text"]}
    async with store_client(nats_url) as store:
        await store.report({**hello("default"), "kinds": ["parts"], "payload_schemas": {"parts": schema}})
    for name, values in BAD_FIELDS:
        good = {"title": "T", "kind": "echo", "mode": "json"}
        if name.startswith("payload."):
            good = {"title": "T", "kind": "parts", "payload.text": "t"}
        for value in values:
            answer = await client.post("/ui/tasks/new", data=good | {name: value}, headers=HTMX)
            assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, (name, value)
            assert f'id="error-{name}"' in answer.text, (name, value)
            assert 'role="alert">' not in answer.text.split("<main")[1], (name, value)
            is_open = "<details open>" in answer.text
            assert is_open == (name not in {"title", "kind"} and "payload" not in name), (name, value)
    assert (await client.get("/tasks")).json()["items"] == []


async def test_a_label_of_several_lines_stays_as_it_is(client: httpx.AsyncClient) -> None:
    """When its task is edited, or made once more."""
    labels = {"a": "x\ny: z", "b": ' "'}
    made = await client.post("/tasks", json={"title": "T", "labels": labels})
    for path in (f"/ui{made.headers['Location']}/edit", f"/ui/tasks/new?from={made.json()['id']}"):
        shown = (await client.get(path)).text
        typed = html.unescape(shown.split('name="labels"')[1].split(">")[1].split("</textarea")[0])
        form = {"title": "New", "labels": typed.replace("\n", "\r\n"), "revision": "1", "mode": "json"}
        answer = await client.post(path.partition("?")[0], data=form, headers=HTMX)
        assert "HX-Redirect" in answer.headers, answer.text
        task = (await client.get(answer.headers["HX-Redirect"].removeprefix("/ui"))).json()
        assert (task["title"], task["labels"]) == ("New", labels), path


async def test_what_an_edit_says_is_checked(client: httpx.AsyncClient) -> None:
    """No value that the form does not offer is an error of the gateway; nothing is changed."""
    made = await client.post("/tasks", json={"title": "T"})
    path, good = f"/ui{made.headers['Location']}/edit", {"title": "New", "priority": "low", "revision": "1"}
    wrong = [{"priority": value} for value in ("bogus", "", "LOW", "\0")]
    wrong += [{"revision": value} for value in ("", "x", "0", "-1", "1.5", "٣", "9" * 30)]
    for one in wrong:
        answer = await client.post(path, data=good | one, headers=HTMX)
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, one
        assert "hx-post" in answer.text
    for name, values in BAD_FIELDS:
        for value in values if name in {"title", "description", "labels", "priority", "payload"} else []:
            answer = await client.post(path, data=good | {name: value}, headers=HTMX)
            assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, (name, value)
            assert f'id="error-{name}"' in answer.text, (name, value)
    assert (await client.get(made.headers["Location"])).json()["title"] == "T"
    assert (await client.post(path, data=good, headers=HTMX)).headers["HX-Redirect"] == path.removesuffix("/edit")


async def test_a_cookie_of_another_gateway_shuts_nobody_out(client: httpx.AsyncClient) -> None:
    """Browsers send cookies to all ports of a host; a gateway that asks for no key looks at none."""
    answer = await client.get("/ui/tasks", headers={"Cookie": f"{COOKIE}=tm_of_another"})
    assert answer.status_code == httpx.codes.OK


async def test_all_tasks_may_be_meant(client: httpx.AsyncClient) -> None:
    """A bulk operation of a list without conditions takes in every status."""
    for _ in range(3):
        await client.post("/tasks", json={"title": "x"})
    form = {"action": "delete", "which": "all", "conditions": ""}
    preview = await client.post("/ui/tasks/bulk/preview", data=form, headers=HTMX)
    assert "Delete 3 tasks?" in preview.text
    started = await client.post("/ui/tasks/bulk", data=form, headers=HTMX)
    assert started.headers["HX-Redirect"].startswith("/ui/operations/")

    async def is_done() -> None:
        assert (await client.get("/tasks")).json()["items"] == []

    await holds(is_done)
    nothing = await client.post("/ui/tasks/bulk/preview", data={"action": "delete"}, headers=HTMX)
    assert nothing.status_code == httpx.codes.UNPROCESSABLE_ENTITY


async def test_what_is_more_than_a_page_is_told(client: httpx.AsyncClient) -> None:
    """A task has no more events than are shown, or it is said where the others are."""
    path = (await client.post("/tasks", json={"title": "T"})).headers["Location"]
    assert "These are the first" not in (await client.get(f"/ui{path}")).text
    for number in range(200):
        await client.patch(path, json={"title": f"T{number}"})
    whole = (await client.get(f"/ui{path}")).text
    assert f"These are the first 200. <code>GET {path}/events</code> has the others." in whole
    assert (await client.get("/ui/schedules")).status_code == httpx.codes.OK


async def test_a_clone_is_whose_the_task_is(client: httpx.AsyncClient) -> None:
    """What limits and shares go by is filled in, and taken."""
    task = (await client.post("/tasks", json={"title": "T", "concurrency_key": "tenant-17"})).json()
    form = (await client.get("/ui/tasks/new", params={"from": task["id"]})).text
    assert 'name="concurrency_key" value="tenant-17"' in form
    for key, status in (("tenant-17", 204), ("a b", 422)):
        typed = {"title": "T", "kind": "echo", "mode": "json", "concurrency_key": key}
        assert (await client.post("/ui/tasks/new", data=typed, headers=HTMX)).status_code == status, key
    found = (await client.get("/tasks", params={"concurrency_key": "tenant-17"})).json()["items"]
    assert len(found) == 2
