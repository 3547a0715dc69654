"""A look at NATS: the server, who answers there, and whether streams and consumers are what they should be."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client as NatsClient

from taskmill.cli.diagnosis.remark import Level, Remark, fail, ok, skip, warn
from taskmill.contracts.permissions import OPERATOR
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import (
    SET_ASIDE_STREAM,
    WORK_ACK_WAIT_SECONDS,
    ConsumerSpec,
    StreamSpec,
    events_stream,
    reports_consumer,
    reports_stream,
    set_aside_stream,
    work_consumer,
    work_stream,
)
from taskmill.runtime.provisioning import consumer_config, differences, stream_config

_CONNECT_SECONDS = 2
_ANSWER_SECONDS = 2
_USUAL_INBOXES = "_INBOX"
_SILENCE_SECONDS = 0.5
"""Nobody else answers, if nobody has for so long."""

_BY_OPERATORS = frozenset({"max_bytes", "max_age", "ack_wait"})
"""Fields that settings of the task store decide, which are not known here."""

MANY_REPORTS = 10_000


def look_at_nats(url: str | None, queues: Sequence[str], *, seed: str | None = None) -> list[Remark]:
    """Look at NATS.

    Args:
        url: Where it is; None: nobody has said.
        queues: Those whose consumers are looked at.
        seed: Of the user to be, who has the rights of the operator; None: the URL says who.
    """
    if url is None:
        return [skip("streams", "nobody says where NATS is", "Set TASKMILL_NATS_URL to have it looked at")]
    try:
        return asyncio.run(_look(url.split(","), queues, seed))
    except (OSError, TimeoutError, nats.errors.Error) as error:
        reason = str(error) or type(error).__name__
        return [
            fail("nats", f"no answer where TASKMILL_NATS_URL says: {reason}", "Start NATS, or set TASKMILL_NATS_URL")
        ]


async def _look(urls: list[str], queues: Sequence[str], seed: str | None) -> list[Remark]:
    client = await nats.connect(
        urls,
        connect_timeout=_CONNECT_SECONDS,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        error_cb=_ignore,
        nkeys_seed_str=seed,
        inbox_prefix=_USUAL_INBOXES if seed is None else OPERATOR.inbox_prefix,
    )
    try:
        remarks = [ok("nats", f"nats-server {_server_version(client)}"), *await _services(client)]
        streams = (work_stream(), reports_stream(0), events_stream(0, 0))
        remarks += [judge_stream(spec, await _ask(client, f"STREAM.INFO.{spec.name}")) for spec in streams]
        remarks.append(judge_set_aside(await _ask(client, f"STREAM.INFO.{SET_ASIDE_STREAM}")))
        consumers = [
            reports_consumer(),
            *(work_consumer(queue, priority, WORK_ACK_WAIT_SECONDS) for queue in queues for priority in Priority),
        ]
        infos = [await _ask(client, f"CONSUMER.INFO.{spec.stream}.{spec.name}") for spec in consumers]
        remarks += judge_consumers(zip(consumers, infos, strict=True))
    finally:
        await client.close()
    return remarks


async def _services(client: NatsClient) -> list[Remark]:
    """Who answers `$SRV.INFO`, with which version."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish("$SRV.INFO", b"", reply=inbox)
    found: dict[str, list[str]] = defaultdict(list)
    try:
        # What is empty comes from NATS itself: nobody is there who could answer.
        while data := (await answers.next_msg(timeout=_SILENCE_SECONDS)).data:
            answer = json.loads(data)
            found[answer["name"]].append(answer["version"])
    except (TimeoutError, nats.errors.TimeoutError):
        pass
    return judge_services(found, version("taskmill-cli"))


def judge_services(found: dict[str, list[str]], own: str) -> list[Remark]:
    """Say who is there, and whether all have the same version.

    Args:
        found: The versions of the processes of each service.
        own: The version of this command.
    """
    remarks = []
    for service in ("taskmill-task-store", "taskmill-gateway", "taskmill-processor"):
        versions = found.get(service, [])
        told = f"{len(versions)} of {service}, version {', '.join(sorted(set(versions)))}"
        if not versions:
            remarks.append(warn("services", f"none of {service} answers on NATS", "Start one, or update it"))
        elif set(versions) == {own}:
            remarks.append(ok("services", told))
        else:
            remarks.append(
                warn("services", f"{told}; this command is {own}", "Update what is older: docs/operations.md")
            )
    return remarks


def judge_stream(spec: StreamSpec, info: dict[str, Any] | None) -> Remark:
    """Say whether a stream is what its spec asks for.

    Args:
        spec: What it should be.
        info: What JetStream tells of it; None: there is none.
    """
    what = f"stream {spec.name}"
    if info is None:
        return fail(what, "there is none", "Start a task store: it makes it")
    drifted = sorted(set(differences(info["config"], stream_config(spec))) - _BY_OPERATORS)
    if drifted:
        return fail(what, f"differs in {', '.join(drifted)}", "Start a task store of this version anew: it mends that")
    placeholders = 0 if spec.placeholder_subject is None else 1
    return ok(what, f"as it should be, messages: {max(info['state']['messages'] - placeholders, 0)}")


def judge_set_aside(info: dict[str, Any] | None) -> Remark:
    """Say whether something came to the services that they could not read.

    Args:
        info: What JetStream tells of its stream; None: there is none.
    """
    remark = judge_stream(set_aside_stream(), info)
    count = 0 if info is None else info["state"]["messages"]
    if remark.level is not Level.OK or not count:
        return remark
    found = f"{count} messages that could not be read, the newest of {info['state']['last_ts']}" if info else ""
    get, purge = f"nats stream get {SET_ASIDE_STREAM}", f"nats stream purge {SET_ASIDE_STREAM}"
    return warn("set aside", found, f"Look at them, `{get}`, and throw them away, `{purge}`: docs/operations.md")


def judge_consumers(found: Iterable[tuple[ConsumerSpec, dict[str, Any] | None]]) -> list[Remark]:
    """Say which consumers are not what their specs ask for; one remark, if all are.

    Args:
        found: Each consumer, with what JetStream tells of it; None: there is none.
    """
    remarks, count = [], 0
    for spec, info in found:
        what = f"consumer {spec.name}"
        count += 1
        if info is None:
            remarks.append(fail(what, "there is none", "A task store makes it within seconds: does one run?"))
            continue
        drifted = sorted(set(differences(info["config"], consumer_config(spec))) - _BY_OPERATORS)
        if drifted:
            found_text = f"differs in {', '.join(drifted)}"
            remarks.append(fail(what, found_text, "Start a task store of this version anew: it mends that"))
        if spec.name == reports_consumer().name and info["num_pending"] > MANY_REPORTS:
            waiting = f"{info['num_pending']} reports wait"
            remarks.append(warn(what, waiting, "The task stores are behind: is PostgreSQL slow, or away?"))
    return remarks or [ok("consumers", f"all {count} as they should be")]


def _server_version(client: NatsClient) -> str:
    known = client.connected_server_version
    return f"{known.major}.{known.minor}.{known.patch}"


async def _ask(client: NatsClient, request: str) -> dict[str, Any] | None:
    """Ask JetStream; None: there is no such thing."""
    answer = await client.request(f"$JS.API.{request}", b"", timeout=_ANSWER_SECONDS)
    document: dict[str, Any] = json.loads(answer.data)
    return None if "error" in document else document


async def _ignore(_: Exception) -> None:
    """What matters is raised, too."""
