"""Endpoints of limits and shares."""

from typing import Annotated

from fastapi import Body, Path, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from taskmill.contracts import registry
from taskmill.contracts.errors import LimitNotFoundError, ShareNotFoundError, TooManyLimitsError, TooManySharesError
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN
from taskmill.contracts.turns import (
    DeleteLimit,
    DeleteShare,
    GetLimit,
    GetShare,
    Limit,
    LimitPage,
    ListLimits,
    ListShares,
    NewLimit,
    NewShare,
    PutLimit,
    PutShare,
    Share,
    SharePage,
)
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.idempotency import json_response
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.routes import UNAVAILABLE, route


class _KeyConvertor(StringConvertor):
    """A part of a path that may be a concurrency key."""

    regex = CHOSEN_KEY_PATTERN.removeprefix("^").removesuffix("$")


register_url_convertor("chosen_key", _KeyConvertor())

_LIMIT = "/limits/{name:name}"
_SHARE = "/shares/{concurrency_key:chosen_key}"

LimitNameInPath = Annotated[str, Path(description="The limit's name: 1 to 64 of a-z, 0-9, `-` and `_`.")]
KeyInPath = Annotated[str, Path(description="The concurrency key, percent-encoded where it must be.")]


class TurnEndpoints:
    """How many tasks are processed at once, or in some time, and how keys share their queues."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @route(
        "GET",
        "/limits",
        operation_id="listLimits",
        summary="List the limits",
        tags=["turns"],
        response_model=LimitPage,
        response_description="A page of limits.",
        responses={200: {"headers": NEXT, **examples.answer(examples.LIMIT_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def limits(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the limits, by name."""
        wanted = ListLimits(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_LIMITS, wanted))

    @route(
        "GET",
        _LIMIT,
        operation_id="getLimit",
        summary="Read a limit",
        tags=["turns"],
        response_model=Limit,
        response_description="The limit.",
        responses={200: examples.answer(examples.LIMIT)},
        errors=[*UNAVAILABLE, LimitNotFoundError],
    )
    async def limit(self, name: LimitNameInPath) -> Response:
        """Read a limit."""
        return json_response(await self._store.ask(registry.GET_LIMIT, GetLimit(name=name)), 200)

    @route(
        "PUT",
        _LIMIT,
        operation_id="putLimit",
        summary="Make a limit, or change it",
        tags=["turns"],
        response_model=Limit,
        response_description="The limit, as it holds now.",
        responses={200: examples.answer(examples.LIMIT)},
        errors=[*UNAVAILABLE, TooManyLimitsError],
    )
    async def put_limit(
        self,
        name: LimitNameInPath,
        body: Annotated[NewLimit, Body(openapi_examples=examples.body(examples.NEW_LIMIT))],
    ) -> Response:
        """Make a limit, or have it say something else: whatever it said before is gone.

        It holds within 2 seconds. What is queued or in progress by then goes on, and counts: where more is than the
        limit allows, nothing else begins until enough of it has ended. There may be 64 limits.
        """
        wanted = PutLimit(name=name, **body.model_dump(exclude_unset=True))
        return json_response(await self._store.ask(registry.PUT_LIMIT, wanted), 200)

    @route(
        "DELETE",
        _LIMIT,
        operation_id="deleteLimit",
        summary="Delete a limit",
        tags=["turns"],
        status_code=204,
        response_description="The limit is gone.",
        errors=[*UNAVAILABLE, LimitNotFoundError],
    )
    async def delete_limit(self, name: LimitNameInPath) -> Response:
        """Delete a limit: what it held has its turn within 2 seconds."""
        await self._store.ask(registry.DELETE_LIMIT, DeleteLimit(name=name))
        return Response(status_code=204)

    @route(
        "GET",
        "/shares",
        operation_id="listShares",
        summary="List the shares",
        tags=["turns"],
        response_model=SharePage,
        response_description="A page of shares.",
        responses={200: {"headers": NEXT, **examples.answer(examples.SHARE_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def shares(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the shares that are set, by key. Any other key has the weight 1."""
        wanted = ListShares(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_SHARES, wanted))

    @route(
        "GET",
        _SHARE,
        operation_id="getShare",
        summary="Read the share of a key",
        tags=["turns"],
        response_model=Share,
        response_description="The share.",
        responses={200: examples.answer(examples.SHARE)},
        errors=[*UNAVAILABLE, ShareNotFoundError],
    )
    async def share(self, concurrency_key: KeyInPath) -> Response:
        """Read the share that is set for a key."""
        return json_response(await self._store.ask(registry.GET_SHARE, GetShare(concurrency_key=concurrency_key)), 200)

    @route(
        "PUT",
        _SHARE,
        operation_id="putShare",
        summary="Set the share of a key",
        tags=["turns"],
        response_model=Share,
        response_description="The share, as it holds now.",
        responses={200: examples.answer(examples.SHARE)},
        errors=[*UNAVAILABLE, TooManySharesError],
    )
    async def put_share(
        self,
        concurrency_key: KeyInPath,
        body: Annotated[NewShare, Body(openapi_examples=examples.body(examples.NEW_SHARE))],
    ) -> Response:
        """Set how much of its queues a key gets, while others want them, too. It holds within 2 seconds.

        There may be 10,000 shares.
        """
        wanted = PutShare(concurrency_key=concurrency_key, weight=body.weight)
        return json_response(await self._store.ask(registry.PUT_SHARE, wanted), 200)

    @route(
        "DELETE",
        _SHARE,
        operation_id="deleteShare",
        summary="Delete the share of a key",
        tags=["turns"],
        status_code=204,
        response_description="The key has the weight 1 again.",
        errors=[*UNAVAILABLE, ShareNotFoundError],
    )
    async def delete_share(self, concurrency_key: KeyInPath) -> Response:
        """Have a key share its queues as keys do for which nothing is set: with the weight 1."""
        await self._store.ask(registry.DELETE_SHARE, DeleteShare(concurrency_key=concurrency_key))
        return Response(status_code=204)
