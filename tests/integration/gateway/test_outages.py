"""The store, NATS or a client away: a clear answer in time, and recovery."""

import asyncio
import os
import signal

import httpx
import nats

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.postgres import PostgresServer
from taskmill.contracts import subjects
from taskmill.task_store.migrations.steps import upgrade
from tests.support.eventually import eventually
from tests.support.gateway import assert_problem
from tests.support.running_service import running_service
from tests.support.services import running_gateway, running_services, task_store

TASK = "/tasks/01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
ANSWER_SECONDS = 5

REQUESTS = [
    ("POST", "/tasks", {"title": "t", "process": True}),
    ("POST", "/tasks/batch", {"tasks": [{"title": "t"}]}),
    ("GET", "/tasks", None),
    ("GET", TASK, None),
    ("PUT", TASK, {"title": "t"}),
    ("PATCH", TASK, {"title": "t"}),
    ("DELETE", TASK, None),
    ("POST", f"{TASK}/process", None),
    ("POST", f"{TASK}/cancel", None),
    ("GET", f"{TASK}/attempts", None),
    ("GET", f"{TASK}/events", None),
    ("GET", "/readyz", None),
]


async def _answers(client: httpx.AsyncClient) -> set[str]:
    """Ask for everything at once; every answer must be a 503 in time. Returns the codes."""
    async with asyncio.timeout(ANSWER_SECONDS):
        responses = await asyncio.gather(*(client.request(method, path, json=body) for method, path, body in REQUESTS))
    for response in responses:
        assert_problem(response, 503, response.json()["code"])
        assert response.headers["retry-after"] == "1"
    return {response.json()["code"] for response in responses}


async def _components(client: httpx.AsyncClient) -> dict[str, str]:
    async with asyncio.timeout(ANSWER_SECONDS):
        response = await client.get("/health")
    assert response.status_code == (200 if response.json()["status"] == "ok" else 503)
    components: dict[str, str] = response.json()["components"]
    return components


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_without_a_store_every_answer_is_503(database_url: str, nats_url: str) -> None:
    """At once, for nobody listens; and all is well as soon as a store comes, and 503 again when it has gone."""
    async with running_gateway(nats_url) as client:
        assert await _answers(client) == {"store_unavailable"}
        assert await _components(client) == {"nats": "up", "store": "down", "postgresql": "unknown"}
        assert (await client.get("/livez")).status_code == 200
        async with running_service(await task_store(database_url, nats_url)):
            await eventually(lambda: _is_ready(client))
            assert (await client.post("/tasks", json={"title": "t"})).status_code == 201
        assert await _answers(client) == {"store_unavailable"}


async def test_a_store_that_hangs_is_given_up(nats_url: str) -> None:
    """A store that takes requests and never answers costs a client less than five seconds."""
    connection = await nats.connect(nats_url)
    await connection.subscribe(subjects.command(">"))
    await connection.flush()
    async with running_gateway(nats_url) as client:
        assert await _answers(client) == {"store_unavailable"}
        assert await _components(client) == {"nats": "up", "store": "down", "postgresql": "unknown"}
    await connection.close()


async def test_without_nats_every_answer_is_503(database_url: str, nats_server: NatsServer) -> None:
    """A stopped NATS is noticed at once, and everything recovers with it."""
    async with running_services(database_url, nats_server.url, processors=0) as services:
        client = services.client
        assert (await client.post("/tasks", json={"title": "before"})).status_code == 201
        await nats_server.stop()
        assert await _answers(client) <= {"bus_unavailable", "store_unavailable"}
        assert await _components(client) == {"nats": "down", "store": "unknown", "postgresql": "unknown"}
        await nats_server.start()
        await eventually(lambda: _is_ready(client), within_seconds=20)
        assert (await client.post("/tasks", json={"title": "after"})).status_code == 201
        tasks = (await client.get("/tasks")).json()["items"]
        assert [task["title"] for task in tasks] == ["after", "before"]


async def test_a_gateway_that_starts_before_nats_answers_503(nats_server: NatsServer) -> None:
    """It serves at once, says what is away, and finds NATS when it comes."""
    await nats_server.stop()
    async with running_gateway(nats_server.url, is_nats_there=False) as client:
        assert await _answers(client) == {"bus_unavailable"}
        assert (await _components(client))["nats"] == "down"
        await nats_server.start()

        async def nats_is_up() -> bool:
            return (await _components(client))["nats"] == "up"

        await eventually(nats_is_up)


async def test_without_postgresql_every_answer_is_503(nats_url: str) -> None:
    """The store answers that the database is away, and everything recovers with it."""
    with server_directory() as directory:
        server = PostgresServer(directory / "postgres")
        await server.start()
        await asyncio.to_thread(upgrade, server.url)
        try:
            async with running_services(server.url, nats_url, processors=0) as services:
                client = services.client
                assert (await client.post("/tasks", json={"title": "before"})).status_code == 201
                await server.stop()
                assert await _answers(client) <= {"database_unavailable", "store_unavailable"}
                assert await _components(client) == {"nats": "up", "store": "up", "postgresql": "down"}
                await server.start()
                await eventually(lambda: _is_ready(client), within_seconds=20)
                assert (await client.post("/tasks", json={"title": "after"})).status_code == 201
        finally:
            await server.stop()


async def test_a_nats_that_hangs_is_given_up(database_url: str, nats_server: NatsServer) -> None:
    """A NATS whose connections stand and carry nothing costs a client less than five seconds."""
    async with running_services(database_url, nats_server.url, processors=0) as services:
        assert nats_server.pid is not None
        os.kill(nats_server.pid, signal.SIGSTOP)
        try:
            assert await _answers(services.client) <= {"bus_unavailable", "store_unavailable"}
        finally:
            os.kill(nats_server.pid, signal.SIGCONT)
        await eventually(lambda: _is_ready(services.client), within_seconds=20)


async def test_a_body_that_stays_away_is_given_up(nats_url: str) -> None:
    """A client that promises a body and does not send it is told so, and holds nothing."""
    async with running_gateway(nats_url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()
