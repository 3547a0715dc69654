"""Reads what an endpoint's signature declares."""

from typing import Any

from fastapi import Request
from fastapi.params import Body
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.types import Receive, Scope

from taskmill.contracts.errors import InvalidJsonError, InvalidRequestError, PayloadTooLargeError, TaskmillError
from taskmill.contracts.requests import Request as RequestModel
from taskmill.gateway.api.body_reader import BodyReader
from taskmill.gateway.api.query_reader import QueryReader
from taskmill.gateway.errors import PathNotFoundError, RequestTimeoutError, UnsupportedMediaTypeError

JSON = "application/json"
"""Every body may be called so, whatever else its endpoint declares."""


class NoQuery(RequestModel):
    """The query parameters of an operation that has none: any is unknown, and refused."""


class Parameters:
    """What the endpoint of a route gets, by name.

    It may declare the request itself; parameters of the path, which the path's convertors check; headers, of type
    `str | None`; one model of query parameters; and a body, which is a pydantic model, and may be absent when it has a
    default.
    """

    def __init__(self, route: APIRoute) -> None:
        declared = route.dependant
        self._has_path_parameters = bool(declared.path_params)
        self._request_name = declared.request_param_name
        self._headers = [(field.name, field.alias.lower().encode()) for field in declared.header_params]
        query = declared.query_params[0] if declared.query_params else None
        self._query_name = query.name if query else None
        self._query = QueryReader(_model(query.field_info) if query else NoQuery)
        # Nothing there is required, and models do not change.
        self._no_query = self._query.read(b"")
        self._body_name = route.body_field.name if route.body_field else None
        self._body = _body_reader(route.body_field.field_info) if route.body_field else None

    def errors(self) -> set[type[TaskmillError]]:
        """What a request may fail with before the endpoint gets it."""
        errors: set[type[TaskmillError]] = {InvalidRequestError}
        if self._has_path_parameters:
            errors |= {PathNotFoundError}
        if self._body:
            errors |= {InvalidJsonError, PayloadTooLargeError, RequestTimeoutError, UnsupportedMediaTypeError}
        return errors

    async def read(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        """Read a request.

        Raises:
            RequestError: It does not fit; `errors()` names the classes.
            ClientDisconnect: The client left before its body was complete.
        """
        arguments: dict[str, Any] = dict(scope.get("path_params", ()))
        if self._request_name:
            arguments[self._request_name] = Request(scope, receive)
        query = self._query.read(scope["query_string"]) if scope["query_string"] else self._no_query
        if self._query_name:
            arguments[self._query_name] = query
        for name, header in self._headers:
            # What is a list may come in several lines (RFC 9110 §5.3).
            lines = [value for given, value in scope["headers"] if given == header]
            arguments[name] = b", ".join(lines).decode("latin-1") if lines else None
        if self._body and self._body_name:
            arguments[self._body_name] = await self._body.read(scope, receive)
        return arguments


def _model(field: FieldInfo) -> type[BaseModel]:
    annotation = field.annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise TypeError("a body, and the query parameters together, are declared as one model each")
    return annotation


def _body_reader(field: FieldInfo) -> BodyReader:
    declared = [field.media_type] if isinstance(field, Body) else []
    default = None if field.is_required() else field.get_default()
    return BodyReader(_model(field), sorted({JSON, *declared}), default)
