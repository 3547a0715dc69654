"""`taskmill spec …`."""

import json
import sys
from typing import Any

from taskmill.cli.registry import new_app

app = new_app("Print the description of an interface.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the REST API, as this version's gateway serves it. Needs no server."""
    from taskmill.gateway.api.specification import openapi_document  # noqa: PLC0415 -- takes a second

    _print(openapi_document())


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of everything on NATS. Needs no server."""
    from taskmill.contracts.asyncapi import asyncapi_document  # noqa: PLC0415 -- as above

    _print(asyncapi_document())


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
