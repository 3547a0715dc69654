"""What the signature of a function says of the payload that it takes, and of what it wants beside it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

from pydantic import JsonValue, PydanticUserError, TypeAdapter

from taskmill.sdk.context import Context
from taskmill.sdk.errors import InvalidHandlerError

_UNTYPED = (inspect.Parameter.empty, Any, JsonValue, object)

_TWO_ARGUMENTS = "The handler must be a function that takes two arguments: payload and context"


def payload_type_of(kind: str, function: object) -> TypeAdapter[Any] | None:
    """What reads a payload into the type that the first parameter is annotated with.

    Returns:
        None: it is not annotated, or takes any JSON value.

    Raises:
        InvalidHandlerError: `function` cannot be called with a payload and a context, takes the context first, or its
            annotation names no type that pydantic knows.
    """
    parameters = _parameters(kind, function)
    if not parameters or parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return None
    try:
        annotation = get_type_hints(_annotated(function), include_extras=True).get(parameters[0].name, Any)
        if annotation is Context:
            raise InvalidHandlerError(kind, f"{_TWO_ARGUMENTS}, in this order")
        return None if any(annotation is it for it in _UNTYPED) else TypeAdapter(annotation)
    except (NameError, TypeError, PydanticUserError) as error:
        raise InvalidHandlerError(kind, f"The type of its payload cannot be used: {error}") from error


def with_dependencies(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """What is called with payload and context, and gives the function whatever else it wants.

    Raises:
        InvalidHandlerError: A parameter beside the two has neither a default nor `Depends`.
    """
    wanted = [it.name for it in _parameters(kind, function)[2:] if _is_required(it)]
    has_more = len(_parameters(kind, function)) > 2
    if not has_more:
        return function
    # Only handlers that have dependencies pay for the library.
    from fast_depends import inject  # noqa: PLC0415
    from fast_depends.dependencies import Dependant  # noqa: PLC0415

    hints = get_type_hints(_annotated(function), include_extras=True)
    for name in wanted:
        if not any(isinstance(it, Dependant) for it in getattr(hints.get(name), "__metadata__", ())):
            raise InvalidHandlerError(kind, f"{_TWO_ARGUMENTS}; {name!r} has neither a default nor Depends(…)")
    try:
        return inject(function, cast=False)
    except (AssertionError, TypeError, ValueError) as error:
        raise InvalidHandlerError(kind, f"Its dependencies cannot be: {error}") from error


def _parameters(kind: str, function: object) -> list[inspect.Parameter]:
    if not callable(function):
        raise InvalidHandlerError(kind, _TWO_ARGUMENTS)
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have no signature to look at
        return []
    try:
        signature.bind_partial(None, None)
    except TypeError as error:
        raise InvalidHandlerError(kind, _TWO_ARGUMENTS) from error
    return list(signature.parameters.values())


def _is_required(parameter: inspect.Parameter) -> bool:
    is_variable = parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return parameter.default is inspect.Parameter.empty and not is_variable


def _annotated(function: object) -> Any:
    """Where the annotations of a callable stand."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
