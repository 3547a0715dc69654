"""Endpoints that explain the interface: the documentation page, its files, and the kinds of problems."""

from importlib.resources import files
from typing import Annotated

from fastapi import Path, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from taskmill.contracts.errors import error_codes
from taskmill.gateway.api.http_errors import http_error
from taskmill.gateway.api.routes import route
from taskmill.gateway.errors import HTTP_ONLY_ERRORS, PathNotFoundError

# Swagger UI sets style attributes, and shows its icons from data: URLs.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


class ProblemKind(BaseModel):
    """What all problems with one `code` have in common."""

    model_config = ConfigDict(frozen=True)

    code: Annotated[str, Field(description="Stable name of this kind of error.")]
    title: Annotated[str, Field(description="What every error of this kind is called.")]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status code that it comes with.")]
    description: Annotated[str, Field(description="What it means.")]


class DocumentationEndpoints:
    """The documentation page and what it is made of; read from the package once, here."""

    def __init__(self) -> None:
        static = files("taskmill.gateway.api") / "static"
        self._page = (static / "docs.html").read_bytes()
        self._assets = {name: (static / "swagger-ui" / name).read_bytes() for name in _ASSETS}
        self._assets["docs.js"] = (static / "docs.js").read_bytes()
        self._problems = {kind.code: kind for kind in _problem_kinds()}

    @route("GET", "/", include_in_schema=False)
    async def root(self) -> Response:
        """Lead whoever looks around to this document."""
        return RedirectResponse("/docs")

    @route("GET", "/docs", include_in_schema=False)
    async def page(self) -> Response:
        """Show this document for people."""
        headers = {"Content-Security-Policy": _CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(self._page, headers=headers, media_type="text/html")

    @route("GET", "/docs/assets/{name}", include_in_schema=False)
    async def asset(self, name: str) -> Response:
        """Send a file of the page."""
        if name not in self._assets:
            raise PathNotFoundError
        media_type = _ASSETS.get(name, "text/javascript; charset=utf-8")
        return Response(self._assets[name], headers={"Cache-Control": "max-age=3600"}, media_type=media_type)

    @route(
        "GET",
        "/problems/{code}",
        operation_id="getProblemKind",
        summary="Explain a kind of problem",
        tags=["documentation"],
        response_model=ProblemKind,
        response_description="What it means.",
        errors=[PathNotFoundError],
    )
    async def problem(
        self, code: Annotated[str, Path(description="A problem's `code`.", pattern="^[a-z_]{1,64}$")]
    ) -> Response:
        """Explain a kind of problem: where the `type` of a problem points to."""
        if code not in self._problems:
            raise PathNotFoundError
        return Response(self._problems[code].model_dump_json(), media_type="application/json")


def _problem_kinds() -> list[ProblemKind]:
    classes = [*error_codes().values(), *HTTP_ONLY_ERRORS]
    return [
        ProblemKind(
            code=error.code,
            title=http_error(error.code).title,
            status=http_error(error.code).status,
            description=(error.__doc__ or "").strip(),
        )
        for error in classes
    ]
