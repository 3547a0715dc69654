"""Endpoints of API keys."""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Body, Path, Query, Request, Response
from pydantic import Field

from taskmill.contracts import registry
from taskmill.contracts.api_keys import (
    ApiKey,
    ApiKeyPage,
    ApiKeyWithSecret,
    CreateApiKey,
    GetApiKey,
    KeyName,
    ListApiKeys,
    RevokeApiKey,
    Scope,
    Scopes,
)
from taskmill.contracts.errors import ApiKeyNotFoundError, FieldProblem, InvalidRequestError, TooManyApiKeysError
from taskmill.contracts.instants import GivenInstant
from taskmill.contracts.key_text import new_key, read_key
from taskmill.contracts.patterns import KEY_ID_PATTERN
from taskmill.contracts.requests import Request as RequestModel
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.admission import caller_of
from taskmill.gateway.api.bodies import NO_OPTIONS, NoOptions
from taskmill.gateway.api.idempotency import json_response
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.routes import UNAVAILABLE, location, route
from taskmill.gateway.errors import MissingScopeError
from taskmill.runtime.clock import Clock
from taskmill.runtime.reply import Reply

_KEY = "/keys/{key_id:name}"
_ON_A_KEY = [*UNAVAILABLE, ApiKeyNotFoundError]
_NOT_KEPT = {"Cache-Control": "no-store"}

KeyIdInPath = Annotated[str, Path(description="The key's id: the part of it behind `tm_`.")]


class NewApiKey(RequestModel):
    """A key that is to be made."""

    name: KeyName
    scopes: Scopes
    expires_at: Annotated[
        GivenInstant | None, Field(description="From when on it is worth nothing, RFC 3339; null: never.")
    ] = None


class KeyEndpoints:
    """What can be done with API keys.

    Args:
        ring: Knows those that are used here.
        now: The clock.
        make_key: Makes a key.
    """

    def __init__(self, store: Store, ring: KeyRing, now: Clock, make_key: Callable[..., str] = new_key) -> None:
        self._store = store
        self._ring = ring
        self._now = now
        self._make_key = make_key

    @route(
        "POST",
        "/keys",
        operation_id="createApiKey",
        summary="Make an API key",
        tags=["keys"],
        status_code=201,
        response_model=ApiKeyWithSecret,
        response_description="The key, which is shown this once.",
        responses={201: {"headers": location("The key's path."), **examples.answer(examples.API_KEY_WITH_SECRET)}},
        errors=[*UNAVAILABLE, TooManyApiKeysError],
    )
    async def create(
        self,
        http: Request,
        body: Annotated[NewApiKey, Body(openapi_examples=examples.body(examples.NEW_API_KEY))],
    ) -> Response:
        """Make an API key. It is shown in this answer only: nobody keeps it.

        Nobody can give what they do not have: who asks must have each of the key's scopes. If the answer is lost, so is
        the key: revoke it, and make another.
        """
        caller = caller_of(http.scope)
        missing = [scope for scope in Scope if scope in body.scopes and scope not in caller.scopes]
        if missing:
            raise MissingScopeError(*missing)
        now = self._now()
        if body.expires_at is not None and body.expires_at <= now:
            problem = FieldProblem(pointer="/expires_at", detail="It should be ahead.", code="in_the_past")
            raise InvalidRequestError(errors=[problem])
        key = self._make_key(now)
        parts = read_key(key)
        assert parts is not None  # noqa: S101 -- for the type checker
        request = CreateApiKey(
            id=parts.id,
            digest=parts.digest,
            name=body.name,
            scopes=body.scopes,
            expires_at=body.expires_at,
            created_by=caller.name,
        )
        reply = await self._store.ask(registry.CREATE_KEY, request)
        made = ApiKeyWithSecret(**ApiKey.model_validate_json(reply.body).model_dump(), key=key)
        headers = {"Location": f"/keys/{made.id}", **_NOT_KEPT}
        return json_response(Reply(made.model_dump_json().encode()), 201, headers)

    @route(
        "GET",
        "/keys",
        operation_id="listApiKeys",
        summary="List the API keys",
        tags=["keys"],
        response_model=ApiKeyPage,
        response_description="A page of keys.",
        responses={200: {"headers": NEXT, **examples.answer(examples.API_KEY_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def list(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of what is known of the API keys, oldest first.

        One that was revoked, or has expired, is known for 30 days.
        """
        wanted = ListApiKeys(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_KEYS, wanted))

    @route(
        "GET",
        _KEY,
        operation_id="getApiKey",
        summary="Read what is known of an API key",
        tags=["keys"],
        response_model=ApiKey,
        response_description="All but the key itself.",
        responses={200: examples.answer(examples.API_KEY)},
        errors=_ON_A_KEY,
    )
    async def get(self, key_id: KeyIdInPath) -> Response:
        """Read what is known of an API key: all but the key itself."""
        return json_response(await self._store.ask(registry.GET_KEY, GetApiKey(id=_id(key_id))), 200)

    @route(
        "POST",
        f"{_KEY}/revoke",
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        tags=["keys"],
        response_model=ApiKey,
        response_description="The key is worth nothing any more.",
        responses={200: examples.answer({**examples.API_KEY, "revoked_at": "2026-11-24T13:00:00Z"})},
        errors=_ON_A_KEY,
    )
    async def revoke(
        self,
        key_id: KeyIdInPath,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,  # noqa: ARG002
    ) -> Response:
        """Have a key be worth nothing, for good: at this gateway at once, at every other within a second.

        What it is asking for in this moment is answered; streams that it has open end within 3 seconds. A key that is
        revoked already stays so.
        """
        reply = await self._store.ask(registry.REVOKE_KEY, RevokeApiKey(id=_id(key_id)))
        self._ring.revoke(key_id)
        return json_response(reply, 200)


def _id(text: str) -> str:
    """An id as it may be asked for.

    Raises:
        ApiKeyNotFoundError: No key can have it.
    """
    if re.fullmatch(KEY_ID_PATTERN, text) is None:
        raise ApiKeyNotFoundError
    return text
