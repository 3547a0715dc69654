"""What `taskmill doctor` makes of what it has found."""

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskmill.cli.database import DatabaseState
from taskmill.cli.diagnosis.addresses import find_addresses, is_elsewhere, judge_address
from taskmill.cli.diagnosis.bus import judge_consumers, judge_services, judge_set_aside, judge_stream, look_at_nats
from taskmill.cli.diagnosis.database import judge_clock, judge_schema, look_at_postgresql
from taskmill.cli.diagnosis.machine import judge_disk, look_at_machine
from taskmill.cli.diagnosis.remark import Level
from taskmill.cli.embedded.ports import free_port
from taskmill.cli.known_stacks import known_stack
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import (
    ConsumerSpec,
    events_stream,
    reports_consumer,
    set_aside_stream,
    work_consumer,
    work_stream,
)
from taskmill.runtime.provisioning import consumer_config, stream_config

GIB = 1024**3


@pytest.mark.parametrize(
    ("url", "level"),
    [
        (None, Level.WARN),
        ("http://127.0.0.1:{port}", Level.OK),
        ("http://localhost:{port}/", Level.OK),
        ("http://127.0.0.1:1", Level.WARN),
        ("https://tasks.example.org:{port}", Level.WARN),
    ],
)
def test_the_port_of_a_gateway_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, level: Level
) -> None:
    """It is in use, as it should be, wherever its stack was started; by somebody else it is a warning."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("TASKMILL_DATA", str(tmp_path / "none"))
        monkeypatch.setenv("TASKMILL_PORT", str(port))
        gateway_url = None if url is None else url.format(port=port)
        *_, remark = look_at_machine(find_addresses(), gateway_url)
    assert (remark.what, remark.level) == ("ports", level), remark


@pytest.mark.parametrize(("has_other", "level"), [(False, Level.OK), (True, Level.WARN)])
def test_commands_that_go_to_another_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_other: bool, level: Level
) -> None:
    """Beside the one that runs here: what is found of the two must not be taken for one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here = tmp_path / "here"
    here.mkdir()
    (here / "stack.json").write_text('[{"name": "gateway", "pid": 1, "url": "http://127.0.0.1:8001"}]')
    monkeypatch.setenv("TASKMILL_DATA", str(here))
    with known_stack(8_000, tmp_path / "other" if has_other else here):
        addresses = find_addresses()
        remark = judge_address("http://127.0.0.1:8000", "the default", addresses)
        assert is_elsewhere("http://127.0.0.1:8000", addresses) is has_other
    assert remark.level is level
    assert ("export TASKMILL_URL=http://127.0.0.1:8001" in str(remark.advice)) is has_other


def test_a_range_of_ports_for_docker_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the `.env` that compose reads; only `taskmill up` could not start with it."""
    monkeypatch.setenv("TASKMILL_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("TASKMILL_PORT", "8000-8001")
    *_, remark = look_at_machine(find_addresses())
    assert (remark.what, remark.level) == ("ports", Level.WARN), remark
    assert "TASKMILL_PORT" in remark.found


def test_streams() -> None:
    """One that differs in what no setting decides has drifted."""
    spec = work_stream()
    config = stream_config(spec)
    state = {"messages": 3}
    assert judge_stream(spec, {"config": config, "state": state}).found == "as it should be, messages: 2"
    drifted = judge_stream(spec, {"config": config | {"retention": "limits", "max_age": 5}, "state": state})
    assert (drifted.level, drifted.found) == (Level.FAIL, "differs in retention")
    assert judge_stream(spec, None).level is Level.FAIL
    events = stream_config(events_stream(1, 1))
    assert judge_stream(events_stream(0, 0), {"config": events, "state": state}).level is Level.OK


def test_what_was_set_aside() -> None:
    """A stream that is empty is well; how much stands in one that is not is told, with what to do."""
    info = {"config": stream_config(set_aside_stream()), "state": {"messages": 0, "last_ts": "2026-11-24T12:00:00Z"}}
    assert judge_set_aside(info).level is Level.OK
    remark = judge_set_aside({**info, "state": {**info["state"], "messages": 3}})
    assert (remark.level, remark.what) == (Level.WARN, "set aside")
    assert remark.found.startswith("3 messages")
    assert "nats stream purge TASK_SET_ASIDE" in str(remark.advice)
    assert judge_set_aside(None).level is Level.FAIL


def _info(spec: ConsumerSpec, **changed: Any) -> dict[str, Any]:
    return {"config": consumer_config(spec) | changed, "num_pending": 0}


def test_consumers() -> None:
    """Those that are missing or have drifted are named; of the others there is one remark."""
    good, other = work_consumer("a", Priority.LOW, 30), work_consumer("a", Priority.HIGH, 30)
    [remark] = judge_consumers([(good, _info(good, ack_wait=1)), (other, _info(other))])
    assert (remark.level, remark.found) == (Level.OK, "all 2 as they should be")
    missing, drifted = judge_consumers([(good, None), (other, _info(other, max_ack_pending=1))])
    assert (missing.what, missing.level) == ("consumer work-a-low", Level.FAIL)
    assert drifted.found == "differs in max_ack_pending"
    [behind] = judge_consumers([(reports_consumer(), _info(reports_consumer()) | {"num_pending": 20_000})])
    assert (behind.level, behind.found) == (Level.WARN, "20000 reports wait")


def test_services() -> None:
    """Who is missing, or of another version, is told of."""
    found = {"taskmill-task-store": ["1", "1"], "taskmill-gateway": ["0.9"]}
    levels = [(remark.level, remark.found) for remark in judge_services(found, "1")]
    assert levels == [
        (Level.OK, "2 of taskmill-task-store, version 1"),
        (Level.WARN, "1 of taskmill-gateway, version 0.9; this command is 1"),
        (Level.WARN, "none of taskmill-processor answers on NATS"),
    ]


@pytest.mark.parametrize(
    ("revision", "level"),
    [
        ("0009", Level.WARN),
        ("0008", Level.OK),
        ("0007", Level.WARN),
        ("0006", Level.WARN),
        ("0005", Level.FAIL),
        (None, Level.FAIL),
    ],
)
def test_the_schema(revision: str | None, level: Level) -> None:
    """An older one has to be migrated; a newer one serves, and one that still has what nobody needs."""
    assert judge_schema(revision, "0006", "0008").level is level


@pytest.mark.parametrize(
    ("ahead", "looked", "level"),
    [(0.9, 0, Level.OK), (-0.9, 0, Level.OK), (1.1, 0, Level.WARN), (-1.1, 0, Level.WARN), (2, 3, Level.OK)],
)
def test_the_clock(ahead: float, looked: float, level: Level) -> None:
    """It may differ by a second, and by what nobody can tell."""
    state = DatabaseState("18", "0008", timedelta(seconds=ahead), timedelta(seconds=looked))
    assert judge_clock(state).level is level


@pytest.mark.parametrize(("free", "level"), [(2 * GIB, Level.OK), (GIB // 2, Level.WARN), (GIB // 20, Level.FAIL)])
def test_the_disk(free: int, level: Level) -> None:
    """It is told of before it is full."""
    assert judge_disk("here", free).level is level


def test_nobody_says_where_anything_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then that cannot be looked at, and it is said what to set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMILL_PORT", str(free_port()))
    addresses = find_addresses()
    assert (addresses.nats_url, addresses.database_url) == (None, None)
    [nats] = look_at_nats(addresses.nats_url, [])
    [database] = look_at_postgresql(addresses.database_url)
    assert (nats.level, database.level) == (Level.SKIP, Level.SKIP)
    assert "TASKMILL_NATS_URL" in str(nats.advice)
    assert "TASKMILL_DATABASE_URL" in str(database.advice)
    disk, port = look_at_machine(addresses)
    assert (disk.level, port.level) == (Level.SKIP, Level.OK)


def test_nobody_is_there() -> None:
    """What is said to be there and does not answer is a failure; no password is repeated."""
    port = free_port()
    [nats] = look_at_nats(f"nats://user:hidden@127.0.0.1:{port}", [])
    [database] = look_at_postgresql(f"postgresql://user:hidden@127.0.0.1:{port}/x")
    assert (nats.level, database.level) == (Level.FAIL, Level.FAIL)
    assert "hidden" not in f"{nats} {database}"
