"""The gateway does what its OpenAPI document says, whatever is asked; Schemathesis thinks of the requests.

It has an environment of its own, which `make test` makes: it wants another version of a library than the gateway.
With `make fuzz-api EXAMPLES=1000` it asks more than CI has time for.
"""

import asyncio
import os
from pathlib import Path

import pytest

from taskmill.contracts.api_keys import ALL_SCOPES
from tests.support.identity_provider import AUDIENCE, identity_provider
from tests.support.paths import ROOT
from tests.support.services import running_gateway
from tests.support.task_store import running_store

PROGRAM = ROOT / ".venv" / "fuzz" / "bin" / "schemathesis"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
USUAL_EXAMPLES = 50
EXAMPLES = int(os.environ.get("TASKMILL_TEST_API_EXAMPLES", str(USUAL_EXAMPLES)))
PHASES = "examples,fuzzing,stateful" if EXAMPLES <= USUAL_EXAMPLES else "examples,coverage,fuzzing,stateful"
"""Every single value at the edge of what the document allows, which is half of all the requests, has its turn with more
examples."""


@pytest.mark.timeout(60 + 10 * EXAMPLES)
async def test_whatever_is_asked_the_answer_is_one_that_the_document_has(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    """Also where one request follows from the answer to another.

    It comes with a token: a key it would revoke sooner or later. There is no processor: tasks and webhooks name hosts.
    """
    async with (
        identity_provider() as provider,
        running_store(database_url, nats_url, max_webhooks=1_000, max_api_keys=10_000),
        running_gateway(
            nats_url,
            is_nats_there=False,
            auth="required",
            oidc_issuer=provider.issuer,
            oidc_audience=AUDIENCE,
        ) as client,
    ):
        authorization = f"Bearer {provider.token(scope=' '.join(sorted(ALL_SCOPES)), exp=2**32)}"
        process = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), "--config-file", str(CONFIGURATION), "run", f"{client.base_url}/openapi.json"),
            *("--header", f"Authorization: {authorization}", "--max-examples", str(EXAMPLES), "--phases", PHASES),
            cwd=tmp_path,
            env={
                **os.environ,
                "NO_COLOR": "1",
                "COLUMNS": "120",
                "SCHEMATHESIS_HOOKS": str(HOOKS),
                "FUZZED_URL": str(client.base_url),
                "FUZZED_AUTHORIZATION": authorization,
            },
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
