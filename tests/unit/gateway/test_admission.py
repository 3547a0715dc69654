"""Who is let in, for what, and what the others are told."""

from collections.abc import Callable, Collection, Iterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from taskmill.contracts import registry
from taskmill.contracts.api_keys import ALL_SCOPES, Scope
from taskmill.contracts.errors import StoreUnavailableError
from taskmill.contracts.key_text import KeyText, read_key
from taskmill.gateway.adapters.callers import MAX_CREDENTIALS_BYTES, Callers
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.rate_limit import RateLimit
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.dispatcher import Dispatcher
from taskmill.gateway.api.scopes import PUBLIC, SCOPES
from taskmill.gateway.api.specification import openapi_document
from taskmill.gateway.domain.callers import local_developer
from taskmill.runtime.histogram import REQUEST_BUCKETS, Histograms
from tests.support.gateway import RememberingStore, assert_problem, client_of

KEY = "tm_mwtz6nk0abcdefgh_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_0WfSLH"
OTHER_KEY = "tm_mwtz6nk1hgfedcba_gfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA9876543210_1afADn"


def parts_of(key: str) -> KeyText:
    """What the store keeps of a key."""
    parts = read_key(key)
    assert parts is not None
    return parts


def knows(store: RememberingStore, key: str, *scopes: Scope) -> None:
    """Have the store know a key, and no other."""
    found = {**parts_of(key)._asdict(), "scopes": scopes or ALL_SCOPES}
    store.answers(registry.FIND_KEYS, {"keys": [found]})


def bearer(key: str) -> dict[str, str]:
    """The headers of who has a key."""
    return {"Authorization": f"Bearer {key}"}


Guarded = Callable[..., ASGIApp]


@pytest.fixture
def guarded(app: FastAPI, store: RememberingStore) -> Guarded:
    """Makes the gateway that all tests share, with an admission of its own: by default one that needs credentials."""

    def guard(
        callers: Callers | None = None,
        *,
        allowed_hosts: Collection[str] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> ASGIApp:
        callers = callers or Callers(KeyRing(Store(store)), None, None)
        admission = Admission(callers, allowed_hosts=allowed_hosts, rate_limit=rate_limit)
        return Dispatcher(app.routes, admission, Histograms(REQUEST_BUCKETS))

    return guard


@pytest.fixture
def strict_app(guarded: Guarded) -> ASGIApp:
    """A gateway that needs credentials."""
    return guarded()


def every_operation(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path, as the table has them."""
    for route in app.routes:
        methods = getattr(route, "methods", None) or set()
        for method in sorted(methods - {"HEAD"}):
            yield method, getattr(route, "path_format", "")


_IN_PATHS = {
    "processor_id": "p-1",
    "name": "default",
    "key_id": "0" * 16,
    "code": "not_found",
    "concurrency_key": "tenant-17",
}


def example_path(path: str) -> str:
    """A path with something for each parameter."""
    an_id = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
    for name in ("task_id", "operation_id", "group_id", "webhook_id", "replay_id", "schedule_id"):
        path = path.replace(f"{{{name}}}", an_id)
    for name, value in _IN_PATHS.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, path
    return path


def test_the_table_has_every_operation_and_no_other(app: FastAPI) -> None:
    """What each takes is said in one place, also of what is served and not in the OpenAPI document."""
    assert {f"{method} {path}" for method, path in every_operation(app)} == SCOPES.keys()


def test_the_openapi_document_says_what_each_operation_takes(app: FastAPI) -> None:
    """A client knows before it asks."""
    # That gateway lets in who brings nothing; what is published without a gateway tells of one that does not.
    nothing: list[dict[str, list[str]]] = [{}]
    for document, optional in ((app.openapi(), nothing), (openapi_document(), nothing[:0])):
        assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        for path, item in document["paths"].items():
            for method, operation in item.items():
                scope = SCOPES[f"{method.upper()} {path}"]
                assert operation["security"] == ([] if scope is PUBLIC else [{"bearer": [scope]}, *optional])


async def test_without_credentials_only_what_is_public_is_answered(
    app: FastAPI, strict_app: ASGIApp, store: RememberingStore
) -> None:
    """Whatever is asked for, and nothing reaches the store."""
    async with client_of(strict_app) as client:
        for method, path in every_operation(app):
            answer = await client.request(method, example_path(path))
            if SCOPES[f"{method} {path}"] is PUBLIC:
                assert answer.status_code not in {401, 403}, path
            else:
                assert_problem(answer, 401, "unauthenticated")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert {subject for subject, _ in store.asked} <= {registry.HEALTH.subject}


@pytest.mark.parametrize(
    ("name", "values", "status", "code"),
    [
        ("Authorization", [f"Bearer {KEY}", f"Bearer {KEY}"], 401, "unauthenticated"),
        ("Host", ["localhost", "localhost"], 421, "host_not_allowed"),
        ("Sec-Fetch-Site", ["cross-site", "none"], 403, "cross_site_request"),
        ("Origin", ["http://evil.example", "http://localhost"], 403, "cross_site_request"),
    ],
)
async def test_what_is_said_twice_of_who_asks_is_refused(
    name: str, values: list[str], status: int, code: str, strict_app: ASGIApp, store: RememberingStore
) -> None:
    """Whichever counts here, something in between may have looked at the other; all else may be repeated."""
    knows(store, KEY)
    given = {"Authorization": f"Bearer {KEY}", "Host": "localhost"}
    others = [pair for pair in given.items() if pair[0] != name]
    async with client_of(strict_app) as client:
        answer = await client.get("/tasks", headers=[*others, *((name, value) for value in values)])
        assert_problem(answer, status, code)
        answer = await client.get("/livez", headers=[("X-Other", "1"), ("X-Other", "2"), *given.items()])
        assert answer.status_code == 200


@pytest.mark.parametrize("scope", ALL_SCOPES)
async def test_a_key_opens_what_its_scope_names_and_nothing_else(
    scope: Scope, app: FastAPI, strict_app: ASGIApp, store: RememberingStore
) -> None:
    """Every operation, with a key of each scope: 403 names the scope that is missing, and nothing reaches the store."""
    knows(store, KEY, scope)
    async with client_of(strict_app) as client:
        for method, path in every_operation(app):
            needed = SCOPES[f"{method} {path}"]
            answer = await client.request(method, example_path(path), headers=bearer(KEY))
            if needed is PUBLIC or needed is scope:
                assert answer.status_code not in {401, 403}, (method, path)
            else:
                problem = assert_problem(answer, 403, "missing_scope")
                assert needed in problem["detail"]
                assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


async def test_to_cancel_many_takes_the_scope_for_that_too(strict_app: ASGIApp, store: RememberingStore) -> None:
    """A bulk operation is no way around it."""
    knows(store, KEY, Scope.TASKS_WRITE)
    async with client_of(strict_app) as client:
        for action, status in {"cancel": 403, "process": 503, "delete": 503}.items():
            body = {"action": action, "filter": {"kind": "echo"}}
            assert (await client.post("/tasks/bulk", json=body, headers=bearer(KEY))).status_code == status


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY} {KEY}",
        f"Bearer {KEY.upper()}",
        f"Bearer {OTHER_KEY}",
        f"Bearer {KEY.rsplit('_', 2)[0]}_{OTHER_KEY.split('_', 2)[2]}",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \u00ff\u00fe",
        f"Bearer {'x' * (MAX_CREDENTIALS_BYTES + 1)}",
    ],
)
async def test_credentials_that_do_not_hold_are_refused_and_not_repeated(
    authorization: str, strict_app: ASGIApp, store: RememberingStore
) -> None:
    """Malformed, unknown, too long, or with the secret of another key."""
    knows(store, KEY)
    async with client_of(strict_app) as client:
        headers = [(b"authorization", authorization.encode("latin-1"))]
        answer = await client.get("/tasks", headers=headers)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert KEY.split("_")[2] not in answer.text


async def test_a_key_with_another_secret_opens_nothing(strict_app: ASGIApp, store: RememberingStore) -> None:
    """What is kept is compared, whatever the id."""
    found = {**parts_of(KEY)._asdict(), "digest": parts_of(OTHER_KEY).digest, "scopes": ALL_SCOPES}
    store.answers(registry.FIND_KEYS, {"keys": [found]})
    async with client_of(strict_app) as client:
        assert_problem(await client.get("/tasks", headers=bearer(KEY)), 401, "unauthenticated")


async def test_a_key_in_the_url_is_no_credential(strict_app: ASGIApp, store: RememberingStore) -> None:
    """URLs are logged by everything that they pass."""
    knows(store, KEY)
    async with client_of(strict_app) as client:
        for query in (f"?api_key={KEY}", f"?access_token={KEY}"):
            answer = await client.get(f"/tasks{query}")
            assert_problem(answer, 401, "unauthenticated")
            assert KEY not in answer.text


async def test_while_the_store_is_away_nobody_is_let_in(strict_app: ASGIApp, store: RememberingStore) -> None:
    """Nothing is known of the key: that is no reason to believe it, nor to say that it does not hold."""
    store.answers(registry.FIND_KEYS, StoreUnavailableError())
    async with client_of(strict_app) as client:
        assert_problem(await client.get("/tasks", headers=bearer(KEY)), 503, "store_unavailable")


async def test_where_none_are_needed_credentials_must_hold_that_are_brought(
    app: FastAPI, store: RememberingStore
) -> None:
    """Who brings a key learns at once that it is none of this gateway's."""
    store.answers(registry.FIND_KEYS, {"keys": []})
    async with client_of(app) as client:
        assert_problem(await client.get("/tasks", headers=bearer(KEY)), 401, "unauthenticated")


async def test_where_everybody_may_credentials_are_not_looked_at(guarded: Guarded, store: RememberingStore) -> None:
    """They may be another's: those that a proxy asked for."""
    callers = Callers(KeyRing(Store(store)), None, local_developer(), are_heeded=False)
    async with client_of(guarded(callers)) as client:
        answer = await client.get("/tasks", headers={"Authorization": "Basic eDp5"})
    assert_problem(answer, 503, "store_unavailable")
    assert [subject for subject, _ in store.asked] == [registry.LIST.subject]


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("[::1].evil.example", False),
        ("localhost:80:evil.example", False),
        ("192.168.1.7", True),
        ("LOCALHOST:8000", True),
        ("taskmill.localhost", True),
        ("gateway:8000", True),
        ("attacker.example", False),
        ("attacker.example:8000", False),
        ("127.0.0.1.attacker.example", False),
        ("localhost.attacker.example", False),
        ("localhost.", False),
        ("", False),
    ],
)
async def test_whoever_needs_no_credentials_must_not_come_by_a_name_that_was_bought(
    host: str, is_allowed: bool, app: FastAPI
) -> None:
    """DNS rebinding: a page whose name leads to this machine is of the same origin for the browser."""
    async with client_of(app) as client:
        answer = await client.get("/tasks", headers={"Host": host})
    if is_allowed:
        assert_problem(answer, 503, "store_unavailable")
    else:
        assert_problem(answer, 421, "host_not_allowed")


async def test_an_operator_says_under_which_names_the_gateway_answers(
    guarded: Guarded, store: RememberingStore
) -> None:
    """Then no others count, whoever asks; what is public is not held to it, for load balancers ask by address."""
    callers = Callers(KeyRing(Store(store)), None, local_developer())
    async with client_of(guarded(callers, allowed_hosts=["tasks.example.org"])) as client:
        assert (await client.get("/tasks", headers={"Host": "Tasks.example.org:443"})).status_code == 503
        assert_problem(await client.get("/tasks", headers={"Host": "127.0.0.1"}), 421, "host_not_allowed")
        assert (await client.get("/livez", headers={"Host": "10.0.0.7"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://proxied.example"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "http://gateway"}, False),
        ({"Origin": "http://gateway:3000"}, True),
        ({"Origin": "https://attacker.example"}, True),
        ({"Origin": "null"}, True),
    ],
)
async def test_a_page_of_another_site_asks_in_vain(
    headers: dict[str, str], is_refused: bool, app: FastAPI, store: RememberingStore
) -> None:
    """Its reader's browser is on this machine, and its reader is let in without credentials."""
    async with client_of(app) as client:
        for answer in (
            await client.post("/tasks/01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42/cancel", headers=headers),
            await client.get("/events", headers=headers),
        ):
            if is_refused:
                assert_problem(answer, 403, "cross_site_request")
            else:
                assert_problem(answer, 503, "store_unavailable")
    assert bool(store.asked) is not is_refused


async def test_other_sites_are_told_nothing_that_lets_them_read(app: FastAPI) -> None:
    """No CORS: neither on an answer, nor to the question before a request."""
    headers = {"Origin": "https://attacker.example", "Access-Control-Request-Method": "POST"}
    async with client_of(app) as client:
        for answer in (await client.options("/tasks", headers=headers), await client.get("/livez", headers=headers)):
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_who_asks_too_often_is_told_when_to_come_again(guarded: Guarded, store: RememberingStore) -> None:
    """Each key for itself, with headers that tell where it stands; whoever is refused reaches nobody."""
    found = [{**parts_of(key)._asdict(), "scopes": ALL_SCOPES} for key in (KEY, OTHER_KEY)]
    store.answers(registry.FIND_KEYS, {"keys": found})
    store.answers(registry.LIST, {"items": [], "next_cursor": None})
    async with client_of(guarded(rate_limit=RateLimit("2/hour"))) as client:
        answers = [await client.get("/tasks", headers=bearer(KEY)) for _ in range(3)]
        other = await client.get("/tasks", headers=bearer(OTHER_KEY))
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert other.status_code == 200
    assert_problem(answers[2], 429, "rate_limited")
    remaining = [answer.headers["RateLimit"].split(";")[1] for answer in answers]
    assert remaining == ["r=1", "r=0", "r=0"]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=2;w=3600'}
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 3600


async def test_an_answer_of_an_error_tells_where_a_key_stands_too(guarded: Guarded, store: RememberingStore) -> None:
    """It has counted."""
    callers = Callers(KeyRing(Store(store)), None, local_developer())
    async with client_of(guarded(callers, rate_limit=RateLimit("9/minute"))) as client:
        answer: httpx.Response = await client.get("/tasks?nonsense=1")
    assert_problem(answer, 422, "invalid_request")
    assert answer.headers["RateLimit"].startswith('"default";r=8;')
