"""Reads the parameters of a query string into a model, strictly."""

from collections.abc import Mapping
from typing import get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from taskmill.contracts.errors import FieldProblem, InvalidRequestError
from taskmill.contracts.json_text import field_problem

MAX_QUERY_PARAMETERS = 64


class QueryReader:
    """Reads a query string.

    Args:
        model: A model that forbids unknown fields. A field that is a list takes a parameter that may be repeated.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        fields = model.model_fields.items()
        self._single = [name for name, field in fields if get_origin(field.annotation) is not list]

    def read(self, query_string: bytes) -> BaseModel:
        """Parse and validate.

        Raises:
            InvalidRequestError: It is not URL-encoded UTF-8, a parameter is unknown, repeated, or does not fit.
        """
        try:
            pairs = parse_qsl(
                query_string.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_PARAMETERS,
            )
        except ValueError as error:
            detail = f"The query is not URL-encoded UTF-8 of up to {MAX_QUERY_PARAMETERS} parameters."
            raise InvalidRequestError(detail) from error
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return self._validate(values)

    def _validate(self, values: Mapping[str, list[str]]) -> BaseModel:
        arguments: dict[str, str | list[str]] = dict(values)
        for name in self._single:
            if name in values:
                first, *others = values[name]
                if others:
                    problem = FieldProblem(pointer=name, detail="It may be given once.", code="repeated_parameter")
                    raise InvalidRequestError(errors=[problem])
                arguments[name] = first
        try:
            return self._model.model_validate(arguments)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            # That a parameter might have been left out is no help to who gave it.
            wrong = [detail for detail in details if detail["type"] != "none_required"]
            raise InvalidRequestError(errors=[_parameter_problem(detail) for detail in wrong]) from error


def _parameter_problem(detail: ErrorDetails) -> FieldProblem:
    problem = field_problem({**detail, "loc": detail["loc"][:1]})
    return problem.model_copy(update={"pointer": problem.pointer.removeprefix("/")})
