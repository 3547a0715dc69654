"""`taskmill doctor --prod`: what may be open while it is tried out is a failure."""

from pathlib import Path

import httpx
import pytest

from benchmarks.machine import server_directory
from taskmill.cli.diagnosis.production import (
    judge_database_encryption,
    judge_encryption,
    judge_modes,
    judge_password,
    look_at_auth,
    look_at_nats_users,
    secret_files,
)
from taskmill.cli.diagnosis.remark import Level
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.nats_users import NatsUsers
from taskmill.cli.embedded.ports import LOOPBACK, free_port
from tests.support.servers import running_nats


async def test_a_nats_that_lets_everybody_in() -> None:
    """As that of `taskmill up` does while no password is set."""
    async with running_nats() as server:
        remark = await look_at_nats_users([server.public_url])
    assert (remark.level, remark.found) == (Level.FAIL, "NATS lets in whoever brings no credentials")


@pytest.mark.parametrize(
    ("users", "level", "found"),
    [
        (NatsUsers(password="taskmill", reader_password="one-of-ours"), Level.FAIL, "whoever says taskmill:taskmill"),
        (NatsUsers(password="one-of-ours"), Level.FAIL, "whoever says reader:reader"),
        (NatsUsers(password="one-of-ours", reader_password="another-of-ours"), Level.OK, "nobody gets in"),
    ],
)
async def test_passwords_that_everybody_knows(users: NatsUsers, level: Level, found: str) -> None:
    """They are tried."""
    with server_directory() as directory:
        server = NatsServer(directory / "nats", users=users)
        await server.start()
        try:
            remark = await look_at_nats_users([server.public_url])
        finally:
            await server.stop()
    assert (remark.level, found in remark.found) == (level, True), remark


async def test_a_nats_that_is_not_there() -> None:
    """Nobody knows that it is well."""
    remark = await look_at_nats_users([f"nats://{LOOPBACK}:{free_port()}"])
    assert (remark.level, "no answer" in remark.found) == (Level.FAIL, True), remark


@pytest.mark.parametrize(("status", "level"), [(200, Level.FAIL), (401, Level.OK), (503, Level.FAIL)])
def test_a_gateway_is_asked_by_nobody(status: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to refuse."""
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(status))
    assert look_at_auth("http://gateway").level is level


def test_a_gateway_that_is_not_there() -> None:
    """Nobody knows whom it lets in."""
    assert look_at_auth(f"http://{LOOPBACK}:{free_port()}").level is Level.FAIL


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("nats://nats:4222", Level.FAIL),
        ("nats://user:secret-1@10.0.0.3:4222", Level.FAIL),
        ("tls://nats:4222", Level.OK),
        ("nats://127.0.0.1:4222", Level.OK),
        ("nats://[::1]:4222", Level.OK),
        ("http://tasks.example.org", Level.FAIL),
        ("https://tasks.example.org", Level.OK),
    ],
)
def test_what_is_sent_in_the_open(url: str, level: Level) -> None:
    """Within this machine it may be; credentials are not repeated."""
    remark = judge_encryption("nats", url, "advice")
    assert remark.level is level
    assert "secret-1" not in remark.found


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("postgresql://taskmill:secret-1@db/taskmill", Level.FAIL),
        ("postgresql://taskmill:secret-1@db/taskmill?sslmode=prefer", Level.FAIL),
        ("postgresql://taskmill:secret-1@db/taskmill?sslmode=require", Level.FAIL),
        ("postgresql://taskmill:secret-1@db/taskmill?sslmode=verify-full&sslrootcert=/etc/ca.pem", Level.OK),
        ("postgresql://taskmill:secret-1@127.0.0.1/taskmill", Level.OK),
        ("postgresql:///taskmill?host=/run/postgresql", Level.OK),
        ("postgresql:///taskmill?host=db", Level.FAIL),
    ],
)
def test_what_is_sent_to_postgresql_in_the_open(url: str, level: Level) -> None:
    """Encrypted is not enough: who answers has to prove who it is."""
    remark = judge_database_encryption(url)
    assert remark.level is level
    assert "secret-1" not in remark.found


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("postgresql://taskmill:taskmill@db/taskmill", Level.FAIL),
        ("postgresql://taskmill@db/taskmill", Level.FAIL),
        ("postgresql://taskmill:one-of-ours@db/taskmill", Level.OK),
    ],
)
def test_the_password_of_postgresql(url: str, level: Level) -> None:
    """There is one, and it is not what docker-compose.yml has."""
    assert judge_password(url).level is level


def test_files_that_others_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with secrets, wherever Taskmill keeps them; other files do not matter."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    secret = [
        ".env",
        "deploy/nats/gateway.nk",
        "deploy/nats/gateway.env",
        ".data/stack.json",
        ".data/nats/keys/reader.nk",
    ]
    secret.append("config/taskmill/contexts.json")
    for name in (*secret, "deploy/nats/nats-users.conf", "media.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    found = secret_files(tmp_path, tmp_path / ".data")
    assert found == sorted(tmp_path / name for name in secret)
    assert judge_modes(found).level is Level.OK
    (tmp_path / ".env").chmod(0o644)
    remark = judge_modes(found)
    assert (remark.level, remark.advice) == (Level.FAIL, f"chmod 600 {tmp_path / '.env'}")
