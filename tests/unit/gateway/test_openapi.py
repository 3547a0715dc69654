"""The OpenAPI document is complete: nothing that a client must know is missing."""

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import pytest_asyncio
from fastapi import FastAPI

from taskmill.gateway.api.strict_route import StrictRoute
from tests.support.gateway import assert_problem, client_of

PROBLEM = "application/problem+json"


@pytest_asyncio.fixture
async def document(app: FastAPI) -> dict[str, Any]:
    """The document as clients get it."""
    async with client_of(app) as client:
        response = await client.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return target


def test_every_route_is_documented(document: dict[str, Any], app: FastAPI) -> None:
    """Only the documentation page and its files are left out."""
    routes = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, StrictRoute)
        for method in route.methods or ()
    }
    documented = {name for name, _ in _operations(document)}
    assert routes - documented == {"GET /", "GET /docs", "GET /docs/assets/{name}"}
    assert documented <= routes


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    """Each has a name of its own in camel case, a summary, a description and a tag that is explained."""
    operations = [operation for _, operation in _operations(document)]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in document["tags"]}
    for operation in operations:
        assert operation["operationId"].isalpha()
        assert operation["operationId"][0].islower()
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags
        assert operation["tags"]


def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    """Each error answer is a problem with examples; whatever reads a body says what a bad one gets."""
    for name, operation in _operations(document):
        answers = operation["responses"]
        assert {"422", "500"} <= answers.keys(), name
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= answers.keys(), name
        if "/tasks" in name:
            assert "503" in answers, name
        if "{" in name:
            assert "404" in answers, name
        for status, answer in answers.items():
            assert answer["description"], (name, status)
            # How healthy it is, it says in its own words.
            if int(status) >= 400 and (name, status) not in {("GET /health", "503"), ("GET /livez", "503")}:
                assert list(answer["content"]) == [PROBLEM], (name, status)
                assert answer["content"][PROBLEM]["schema"]["$ref"].endswith("/ProblemDocument")


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    """Examples of bodies and answers are what they are examples of; every body has one."""
    seen = 0
    for name, operation in _operations(document):
        contents = [answer.get("content", {}) for answer in operation["responses"].values()]
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            assert all(media["examples"] for media in content.values()), name
            contents.append(content)
        for media in (media for content in contents for media in content.values()):
            values = [example["value"] for example in media.get("examples", {}).values()]
            values += [media["example"]] if "example" in media else []
            for value in values:
                schema = {**media["schema"], "components": document["components"]}
                jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
                seen += 1
    assert seen > 50


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    """Each has a description and a schema with a type, and never the text `null` as a value."""
    for name, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
            schema = _resolve(document, parameter["schema"])
            assert schema["type"] in {"string", "integer", "boolean", "array"}, (name, parameter["name"])
            assert parameter["required"] == (parameter["in"] == "path")


def test_every_field_is_described(document: dict[str, Any]) -> None:
    """Each field of each schema has a description, of its own or of what it refers to."""
    for name, schema in document["components"]["schemas"].items():
        if name != "JsonValue":
            assert schema["description"], name
        for field, field_schema in schema.get("properties", {}).items():
            described = field_schema.get("description") or _resolve(document, field_schema).get("description")
            assert described, f"{name}.{field}"


def test_what_clients_send_is_bounded(document: dict[str, Any]) -> None:
    """Each text, list and object in a body has a limit in the schema; unknown fields are forbidden."""
    for name in ("NewTask", "NewTasks", "TaskPatch", "TaskDocument", "NoOptions", "NewBulkOperation", "TaskFilter"):
        schema = document["components"]["schemas"][name]
        assert schema["additionalProperties"] is False
    fields = document["components"]["schemas"]["NewTask"]["properties"]
    assert (fields["title"]["minLength"], fields["title"]["maxLength"]) == (1, 200)
    assert fields["description"]["anyOf"][0]["maxLength"] == 10_000
    assert fields["kind"]["pattern"] == fields["queue"]["anyOf"][0]["pattern"]
    assert fields["labels"]["maxProperties"] == 32
    assert document["components"]["schemas"]["NewTasks"]["properties"]["tasks"]["maxItems"] == 1_000


def test_a_created_task_leads_on(document: dict[str, Any]) -> None:
    """Links name operations that exist, with their parameters."""
    operations = {operation["operationId"]: operation for _, operation in _operations(document)}
    links = operations["createTask"]["responses"]["201"]["links"]
    assert {"getTask", "processTask", "deleteTask"} <= links.keys()
    for link in links.values():
        parameters = {parameter["name"] for parameter in operations[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= parameters


def test_answers_name_their_headers(document: dict[str, Any]) -> None:
    """ETag, Location, Link and the others are told where they come."""
    operations = {operation["operationId"]: operation["responses"] for _, operation in _operations(document)}
    assert operations["createTask"]["201"]["headers"].keys() == {"ETag", "Location", "Idempotent-Replayed"}
    assert operations["createTasks"]["201"]["headers"].keys() == {"Idempotent-Replayed"}
    assert operations["processTask"]["202"]["headers"].keys() == {"ETag", "Location", "Idempotent-Replayed"}
    for status in ("200", "202"):
        assert operations["cancelTask"][status]["headers"].keys() == {"ETag", "Location", "Idempotent-Replayed"}
    assert operations["getTask"]["304"]["headers"].keys() == {"ETag"}
    assert operations["listTasks"]["200"]["headers"].keys() == {"Link"}
    assert all(operations["createTask"][status]["headers"].keys() == {"Retry-After"} for status in ("429", "503"))


async def test_the_root_leads_to_the_documentation(client: httpx.AsyncClient) -> None:
    """Whoever opens the gateway in a browser finds it."""
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """The page refers to no other host, its policy forbids it, and its files are there."""
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "//" not in page.text.replace("<!DOCTYPE html>", "")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    for name, media_type in [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("docs.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ]:
        assert f"/docs/assets/{name}" in page.text
        asset = await client.get(f"/docs/assets/{name}")
        assert (asset.status_code, asset.headers["content-type"]) == (200, media_type)
        assert asset.content


@pytest.mark.parametrize("name", ["..%2Fdocs.html", "swagger-ui-bundle.js.map", "LICENSE"])
async def test_only_the_files_of_the_page_are_sent(name: str, client: httpx.AsyncClient) -> None:
    """No path leads to another file."""
    assert_problem(await client.get(f"/docs/assets/{name}"), 404, "not_found")
