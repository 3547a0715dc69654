"""A look at what may be open while it is tried out, and not in production."""

import asyncio
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

import httpx
import nats.errors

from taskmill.cli.contexts import contexts_file
from taskmill.cli.diagnosis.addresses import Addresses
from taskmill.cli.diagnosis.remark import Remark, fail, ok
from taskmill.runtime.nats_client import RawClient, is_refusal

_SECONDS = 2
_DEFAULT_PASSWORDS = frozenset({"taskmill", "reader", "postgres", "password"})
_USERS_OF_COMPOSE = (("taskmill", "taskmill"), ("reader", "reader"))
_SECRETS_HERE = (".env", "deploy/nats/*.nk", "deploy/nats/*.env")
_SECRETS_OF_STACK = ("stack.json", "nats/keys/*")
_FOR_OTHERS = 0o077
_VERIFIED_MODES = frozenset({"verify-ca", "verify-full"})


def look_at_production(gateway_url: str, addresses: Addresses) -> Iterator[Remark]:
    """Look for what has to be closed before others reach it: who is let in, passwords, what is sent in the open, files.

    What cannot be looked at is a failure: nobody knows that it is well.

    Args:
        gateway_url: Where the gateway is.
        addresses: Where the servers are.
    """
    yield look_at_auth(gateway_url)
    yield judge_encryption(
        "gateway", gateway_url, "Have something that ends TLS before it, and use its https:// address"
    )
    if addresses.nats_url is None:
        yield fail("nats users", "nobody says where NATS is", "Set TASKMILL_NATS_URL to have it looked at")
    else:
        urls = addresses.nats_url.split(",")
        yield asyncio.run(look_at_nats_users(urls))
        for url in urls:
            yield judge_encryption(
                "nats", url, "Set tls { … } in nats-server's configuration, and tls:// in TASKMILL_NATS_URL"
            )
    if addresses.database_url is None:
        yield fail("password", "nobody says where PostgreSQL is", "Set TASKMILL_DATABASE_URL to have it looked at")
    else:
        yield judge_password(addresses.database_url)
        yield judge_database_encryption(addresses.database_url)
    yield judge_modes(secret_files(Path.cwd(), addresses.data_dir))


def look_at_auth(gateway_url: str) -> Remark:
    """Ask the gateway as nobody."""
    try:
        answer = httpx.get(f"{gateway_url}/tasks", params={"limit": 1}, timeout=_SECONDS, follow_redirects=False)
    except httpx.HTTPError as error:
        return fail("auth", f"the gateway does not answer: {type(error).__name__}", "Start it, or set TASKMILL_URL")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return ok("auth", "the gateway asks who is there")
    if answer.is_success:
        advice = "Set TASKMILL_AUTH=required of the gateway; docs/security.md says how the first API key is made"
        return fail("auth", "the gateway lets in whoever brings no credentials", advice)
    return fail("auth", f"the gateway answers {answer.status_code} to nobody", "Is it well?")


async def look_at_nats_users(urls: Sequence[str]) -> Remark:
    """Try to come to NATS as nobody, and with the passwords that docker-compose.yml has by default."""
    for user, password in (("", ""), *_USERS_OF_COMPOSE):
        try:
            await _connect([_as_user(urlsplit(url), user, password) for url in urls])
        except (OSError, TimeoutError, nats.errors.Error) as error:
            if is_refusal(error):
                continue
            found = f"no answer: {str(error) or type(error).__name__}"
            return fail("nats users", found, "Start NATS, or set TASKMILL_NATS_URL")
        whoever = f"whoever says {user}:{password}" if user else "whoever brings no credentials"
        advice = "taskmill nats users --out deploy/nats: docs/operations.md, who may do what on NATS"
        return fail("nats users", f"NATS lets in {whoever}", advice)
    return ok("nats users", "nobody gets in without a key, or with a password that everybody knows")


async def _connect(urls: list[str]) -> None:
    client = RawClient()
    try:
        await client.connect(
            urls, connect_timeout=_SECONDS, allow_reconnect=False, max_reconnect_attempts=1, error_cb=_ignore
        )
    finally:
        # Also when it was refused: its socket would stay. `close()` would not return where TLS has failed.
        await client.abandon()


def judge_encryption(what: str, url: str, advice: str) -> Remark:
    """Say whether what goes to an address can be read on its way."""
    part = urlsplit(url)
    if part.scheme in {"https", "tls", "wss"}:
        return ok(what, f"{part.scheme}:// is encrypted")
    if _is_this_machine(part.hostname or ""):
        return ok(what, f"{part.scheme}:// goes no further than this machine")
    return fail(what, f"{part.scheme}://{part.hostname} is not encrypted", advice)


def judge_database_encryption(url: str) -> Remark:
    """Say whether what goes to PostgreSQL can be read on its way, or somebody in between can pose as it."""
    parts = urlsplit(url)
    parameters = parse_qs(parts.query)
    host = parts.hostname or parameters.get("host", [""])[-1]
    mode = parameters.get("sslmode", [""])[-1]
    if mode in _VERIFIED_MODES:
        return ok("database", f"sslmode={mode} is encrypted")
    if not host or host.startswith("/") or _is_this_machine(host):
        return ok("database", "postgresql:// goes no further than this machine")
    advice = "Set ssl = on in postgresql.conf, and ?sslmode=verify-full&sslrootcert=… in TASKMILL_DATABASE_URL"
    if mode == "require":
        return fail("database", f"anybody in between could pose as {host}: sslmode=require", advice)
    return fail("database", f"postgresql://{host} is not encrypted for sure", advice)


def judge_password(database_url: str) -> Remark:
    """Say whether PostgreSQL asks for a password that not everybody knows."""
    password = urlsplit(database_url).password
    advice = "Choose one (POSTGRES_PASSWORD with Docker), and say it in TASKMILL_DATABASE_URL"
    if not password:
        return fail("password", "that of PostgreSQL is none", advice)
    if password in _DEFAULT_PASSWORDS:
        return fail("password", "that of PostgreSQL is the default", advice)
    return ok("password", "that of PostgreSQL is none of the defaults")


def secret_files(directory: Path, data_dir: Path) -> list[Path]:
    """The files here that hold secrets: of settings, of keys, of the stack of `taskmill up`, and contexts."""
    here = [path for pattern in _SECRETS_HERE for path in directory.glob(pattern)]
    of_stack = [path for pattern in _SECRETS_OF_STACK for path in data_dir.glob(pattern)]
    contexts = contexts_file()
    return sorted(path for path in (*here, *of_stack, contexts) if path.is_file())


def judge_modes(files: Iterable[Path]) -> Remark:
    """Say whether others on this machine may read files with secrets."""
    files = list(files)
    loose = [str(path) for path in files if path.stat().st_mode & _FOR_OTHERS]
    if loose:
        return fail("files", f"others may read {', '.join(loose)}", f"chmod 600 {' '.join(loose)}")
    return ok("files", f"with secrets, for your user alone: {len(files)}")


def _as_user(part: SplitResult, user: str, password: str) -> str:
    credentials = f"{quote(user)}:{quote(password)}@" if user else ""
    return f"{part.scheme}://{credentials}{part.hostname}:{part.port or 4222}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _ignore(_error: Exception) -> None:
    """It is raised, too."""
