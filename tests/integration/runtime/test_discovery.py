"""Services as `nats micro` finds them, read with what nats-py has for that."""

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from taskmill.contracts.errors import TaskNotFoundError
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.requests import RequestServer
from tests.support.actors import running
from tests.support.eventually import eventually

SERVICE = "taskmill-task-store"


async def echo(body: bytes) -> bytes:
    """Answer, unless there is nothing to say."""
    if not body:
        raise TaskNotFoundError
    return body


async def asked(session: NatsSession, subject: str, *, answers: int) -> list[dict[str, Any]]:
    """What comes on a subject that all answer who are meant."""
    heard: list[dict[str, Any]] = []
    inbox = session.new_inbox()
    subscription = session.subscribe(inbox, lambda _subject, _reply, body, _headers: heard.append(json.loads(body)))
    session.publish(subject, b"", reply=inbox)
    await eventually(lambda: len(heard) >= answers)
    session.unsubscribe(subscription)
    return heard


@pytest.mark.parametrize("end", ["", f".{SERVICE}", f".{SERVICE}.one"])
async def test_a_service_answers_all_three_questions(session: NatsSession, end: str) -> None:
    """To all, to those of its name, and to it alone, in the form of ADR-32."""
    server = RequestServer(session, "server", {"a.b": echo}, group="g", max_in_flight=10)
    discovery = Discovery(
        session, SERVICE, "Echoes.", instance_id="one", metadata={"a": "b"}, endpoints=server.stats, group="g"
    )
    async with running(server), running(discovery):
        for body in (b"x", b"y", b""):
            await session.requests.request("a.b", body, timeout_seconds=2)
        [ping] = await asked(session, f"$SRV.PING{end}", answers=1)
        [info] = await asked(session, f"$SRV.INFO{end}", answers=1)
        [stats] = await asked(session, f"$SRV.STATS{end}", answers=1)
    assert ServicePing.from_dict(ping).id == "one"
    assert ServiceInfo.from_dict(info).endpoints[0].subject == "a.b"
    assert ServiceStats.from_dict(stats).started is not None
    identity = {"name": SERVICE, "id": "one", "version": ping["version"], "metadata": {"a": "b"}}
    assert ping == {**identity, "type": "io.nats.micro.v1.ping_response"}
    endpoint = {"name": "a-b", "subject": "a.b", "queue_group": "g", "metadata": {}}
    assert info == {
        **identity,
        "type": "io.nats.micro.v1.info_response",
        "description": "Echoes.",
        "endpoints": [endpoint],
    }
    [told] = stats["endpoints"]
    assert stats["type"] == "io.nats.micro.v1.stats_response"
    assert told.items() >= endpoint.items()
    assert (told["num_requests"], told["num_errors"], told["last_error"]) == (3, 1, "task_not_found")
    assert told["processing_time"] // 3 == told["average_processing_time"] > 0


async def test_each_process_answers(session: NatsSession) -> None:
    """All of a name; one of another name is not meant."""
    services = [
        Discovery(session, "taskmill-gateway", "", instance_id="a"),
        Discovery(session, "taskmill-gateway", "", instance_id="b"),
        Discovery(session, "taskmill-processor", "", instance_id="c"),
    ]
    async with running(services[0]), running(services[1]), running(services[2]):
        everybody = await asked(session, "$SRV.PING", answers=3)
        gateways = await asked(session, "$SRV.PING.taskmill-gateway", answers=2)
        [one] = await asked(session, "$SRV.PING.taskmill-gateway.b", answers=1)
    assert sorted(answer["id"] for answer in everybody) == ["a", "b", "c"]
    assert sorted(answer["id"] for answer in gateways) == ["a", "b"]
    assert one["id"] == "b"


async def test_a_name_and_an_id_are_what_nats_takes(session: NatsSession) -> None:
    """The name and the version have the form of ADR-32, or the tools refuse them."""
    discovery = Discovery(session, "taskmill-gateway", "", instance_id="a")
    async with running(discovery):
        [ping] = await asked(session, "$SRV.PING", answers=1)
    assert ping["name"].replace("-", "").isalnum()
    assert len(ping["version"].split(".")) == 3


async def test_a_request_without_a_reply_is_passed_over(session: NatsSession, nats_url: str) -> None:
    """Nobody waits for the answer."""
    client = Client()
    async with running(Discovery(session, "taskmill-gateway", "", instance_id="a")):
        await client.connect(nats_url)
        await client.publish("$SRV.PING", b"")
        answer = await client.request("$SRV.PING", b"what is it", timeout=2)
        await client.close()
    assert json.loads(answer.data)["id"] == "a"
