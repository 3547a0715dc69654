"""docker-compose.yml on a real engine: images built, everything up, work shared, crashes and restarts survived."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.completed import completed_task
from tests.support.compose import ComposeProject, compose_project
from tests.support.eventually import eventually

# One stack for the module: building and starting it takes a minute or two, which the first test's time includes.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

OWN_SERVICES = {"gateway", "task-store", "processor"}
PROCESSORS = 3
SLOTS_PER_PROCESSOR = 100
UP = ("up", "--detach", "--wait", "--scale", f"processor={PROCESSORS}")
LIST_PACKAGES = "import importlib.metadata as m; print(*(package.name for package in m.distributions()))"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[ComposeProject]:
    """The whole stack, with three processors, up and healthy."""
    async with compose_project() as project:
        began = time.monotonic()
        await project.compose(*UP, "--build", within_seconds=500)
        seconds = time.monotonic() - began
        # Which servers stand behind the tags: where no registry answers, they are stand-ins.
        postgres = await project.compose("exec", "-T", "postgres", "postgres", "--version")
        nats = await project.compose("exec", "-T", "nats", "nats-server", "--version")
        plugins = request.config.pluginmanager
        with plugins.getplugin("capturemanager").global_and_fixture_disabled():
            plugins.getplugin("terminalreporter").write_line(
                f"\ncompose: built and up in {seconds:.0f} s on {postgres.strip()}, {nats.strip()}"
            )
        yield project


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(stack: ComposeProject) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway, at the address it is published at now."""
    async with httpx.AsyncClient(base_url=await stack.gateway_url(), timeout=10) as client:
        yield client


async def test_everything_is_healthy_and_the_migration_ended(stack: ComposeProject) -> None:
    """Every process has a healthcheck that passes, and the one-shot migration ended well."""
    states = {
        (_service(container), container["State"]["Status"], container["State"].get("Health", {}).get("Status"))
        for container in await stack.containers()
    }
    running = {(service, "running", "healthy") for service in OWN_SERVICES | {"postgres", "nats"}}
    assert states == running | {("migrate", "exited", None)}
    assert [c["State"]["ExitCode"] for c in await stack.containers() if _service(c) == "migrate"] == [0]


async def test_only_gateway_and_nats_are_published_and_on_loopback(stack: ComposeProject) -> None:
    """Nothing can be reached from another machine, and PostgreSQL not even from this one."""
    published = {
        (_service(container), address["HostIp"])
        for container in await stack.containers()
        for addresses in container["NetworkSettings"]["Ports"].values()
        for address in addresses or []
    }
    assert published == {("gateway", "127.0.0.1"), ("nats", "127.0.0.1")}


@pytest.mark.parametrize("service", sorted(OWN_SERVICES))
async def test_an_image_has_no_root_and_no_servers(stack: ComposeProject, service: str) -> None:
    """A service runs as an ordinary user who cannot write, in an image without the embedded servers."""
    assert int(await stack.compose("exec", "-T", service, "id", "-u")) > 0
    assert (await stack.compose("exec", "-T", service, "sh", "-c", "touch /opt/x 2>&1 || true")).endswith(
        "Read-only file system\n"
    )
    packages = await stack.compose("exec", "-T", service, "python", "-c", LIST_PACKAGES)
    assert f"taskmill-{service}" in packages
    assert not re.search(r"embedded|nats-server|taskmill-cli", packages)


async def test_three_processors_share_the_work(gateway: httpx.AsyncClient) -> None:
    """Tasks that fill every slot of three processors are all completed, each of them by one of the three."""
    task = {"kind": "sleep", "payload": {"seconds": 1}, "process": True}
    body = [{"title": f"Share {number}", **task} for number in range(PROCESSORS * SLOTS_PER_PROCESSOR)]
    answer = await gateway.post("/tasks/batch", json={"tasks": body})
    assert answer.status_code == 201, answer.text
    ids = [item["id"] for item in answer.json()["items"]]

    await asyncio.gather(*(completed_task(gateway, task_id, within_seconds=60) for task_id in ids[:: len(ids) // 20]))
    attempts = [(await gateway.get(f"/tasks/{task_id}/attempts")).json()["items"] for task_id in ids]
    assert {len(of_one_task) for of_one_task in attempts} == {1}
    assert len({of_one_task[0]["processor_id"] for of_one_task in attempts}) == PROCESSORS


@pytest.mark.parametrize("service", ["processor", "task-store", "gateway"])
async def test_a_crashed_service_comes_back(stack: ComposeProject, service: str) -> None:
    """A service whose process is killed is started again, and the stack works as before."""
    before = await _restarts(stack, service)

    async def has_restarted() -> bool:
        return await _restarts(stack, service) > before

    # Every process of the container but the init, which ends with its child. (`docker kill` is not a crash to Docker.)
    await stack.compose("exec", "--detach", service, "sh", "-c", "kill -KILL -1")
    await eventually(has_restarted, within_seconds=60, every_seconds=0.5)
    await stack.compose(*UP)
    async with httpx.AsyncClient(base_url=await stack.gateway_url(), timeout=10) as client:
        await completed_task(client, await _create(client), within_seconds=60)


async def test_tasks_outlive_down_and_up(stack: ComposeProject) -> None:
    """With its containers gone and made anew, every task is there still, and the history of each."""
    async with httpx.AsyncClient(base_url=await stack.gateway_url(), timeout=10) as client:
        task_id = await _create(client)
        task = await completed_task(client, task_id, within_seconds=60)
        events = (await client.get(f"/tasks/{task_id}/events")).content
    await stack.compose("down", within_seconds=120)
    await stack.compose(*UP, within_seconds=300)
    async with httpx.AsyncClient(base_url=await stack.gateway_url(), timeout=10) as client:
        assert (await client.get(f"/tasks/{task_id}")).json() == task
        assert (await client.get(f"/tasks/{task_id}/events")).content == events


def _service(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


async def _restarts(stack: ComposeProject, service: str) -> int:
    return sum(container["RestartCount"] for container in await stack.containers() if _service(container) == service)


async def _create(client: httpx.AsyncClient) -> str:
    answer = await client.post("/tasks", json={"title": "Compose", "payload": {"n": 1}, "process": True})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
