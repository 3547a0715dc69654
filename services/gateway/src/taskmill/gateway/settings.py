"""What an operator may set of the gateway."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_settings import NoDecode

from taskmill.runtime.settings import MAX_PORT, NatsSettings, ProcessSettings

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: with any other the provider's public keys would do to sign."""

_HTTPS_OR_LOOPBACK = r"^(https://[^\s?#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/[^\s?#]*)?)$"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class AuthSettings(NatsSettings):
    """Who may ask the gateway for what."""

    host: Annotated[str, Field(min_length=1, description="The address to listen on, an IPv4 or IPv6 address.")] = (
        "127.0.0.1"
    )
    auth: Annotated[
        Literal["auto", "required", "none"],
        Field(
            description="required: who asks brings an API key or a token. auto: the same, but who brings none may do "
            "everything where the gateway listens on a loopback address. none: everybody may do everything who reaches "
            "it."
        ),
    ] = "auto"
    allowed_hosts: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_split),
        Field(
            description="The names under which the gateway answers, separated by commas, without ports; *: any. Unset: "
            "any where credentials are needed, or else IP addresses, `localhost`, and names without a dot."
        ),
    ] = []
    rate_limit: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour)$")] | None,
        Field(
            description="How many requests one API key, or token, may make at each gateway, as 600/minute; per second, "
            "minute or hour. Unset: as many as it likes."
        ),
    ] = None
    oidc_issuer: Annotated[
        Annotated[str, StringConstraints(pattern=_HTTPS_OR_LOOPBACK)] | None,
        Field(
            description="The OpenID Connect provider whose tokens are taken, as their `iss` has it: https://… Unset: "
            "none are."
        ),
    ] = None
    oidc_audience: Annotated[str | None, Field(min_length=1, description="What the `aud` of its tokens must have.")] = (
        None
    )
    oidc_keys_url: Annotated[
        Annotated[str, StringConstraints(pattern=_HTTPS_OR_LOOPBACK)] | None,
        Field(
            description="Where its keys are (JWKS). Unset: where its /.well-known/openid-configuration says that they "
            "are."
        ),
    ] = None
    oidc_scopes_claim: Annotated[
        str, Field(min_length=1, description="The claim of its tokens that has the scopes: a list, or a text.")
    ] = "scope"
    oidc_algorithms: Annotated[
        list[Algorithm],
        NoDecode,
        BeforeValidator(_split),
        Field(min_length=1, description="What its tokens may be signed with, separated by commas."),
    ] = ["RS256", "ES256", "EdDSA"]

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            # A token that somebody else was given for would do.
            raise ValueError("TASKMILL_OIDC_ISSUER and TASKMILL_OIDC_AUDIENCE are set together, or neither")
        return self

    @property
    def needs_credentials(self) -> bool:
        """Whether who brings no credentials is refused."""
        return self.auth == "required" or (self.auth == "auto" and not _is_loopback(self.host))


class GatewaySettings(AuthSettings, ProcessSettings):
    """Settings of the gateway."""

    port: Annotated[int, Field(ge=1, le=MAX_PORT, description="The TCP port to listen on.")] = 8_000
    max_followers: Annotated[
        int,
        Field(
            ge=1,
            description="How many event streams, and requests that wait for a task, may be open at once. Beyond it "
            "they are refused: 503 `overloaded`.",
        ),
    ] = 2_000
    ui_trace_url: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://[^\s]*\{trace_id\}[^\s]*$")] | None,
        Field(
            description="Where the dashboard leads from a task to its trace: the address of one, with `{trace_id}` in "
            "its place. Unset: it tells the id alone."
        ),
    ] = None
    ui_payloads: Annotated[
        bool, Field(description="Whether the dashboard shows payloads, results and events, which have them.")
    ] = True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
