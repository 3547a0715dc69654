"""OWASP API9: all that is served is written down, and nothing else answers. See `unit/gateway/test_admission.py`."""

import pytest

from taskmill.gateway.api.scopes import PUBLIC, SCOPES
from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_document_that_is_served_has_every_operation_and_its_scope(guarded: Guarded) -> None:
    """But the document itself, and the pages for people."""
    document = (await guarded.client.get("/openapi.json")).json()
    told = {
        f"{method.upper()} {path}": operation["security"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert SCOPES.keys() - told.keys() == {"GET /", "GET /docs", "GET /docs/assets/{name}", "GET /openapi.json"}
    for operation, security in told.items():
        assert security == ([] if SCOPES[operation] is PUBLIC else [{"bearer": [SCOPES[operation]]}])
    assert (await guarded.client.get("/docs")).status_code == 200


@pytest.mark.parametrize("path", ["/admin", "/debug", "/v1/tasks", "/redoc", "/swagger.json", "/actuator", "/graphql"])
async def test_nothing_else_answers(path: str, guarded: Guarded) -> None:
    """Nothing that was there before, or that a framework brings."""
    assert_problem(await guarded.ask("GET", path), 404, "not_found")
