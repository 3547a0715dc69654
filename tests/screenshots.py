"""Takes the pictures of docs/dashboard.md: `make screenshots`."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page

from benchmarks.machine import server_directory
from tests.support.browser import running_browser
from tests.support.eventually import eventually
from tests.support.paths import ROOT
from tests.support.stack import TaskmillUp

_IMAGES = ROOT / "docs" / "images"
_THEMES = ("light", "dark")
_SIZE = {"width": 1100, "height": 720}


async def _made(client: httpx.AsyncClient, path: str = "/tasks", **wanted: Any) -> str:
    answer = await client.post(path, json=wanted)
    answer.raise_for_status()
    return str(answer.json()["id"])


async def _tasks(client: httpx.AsyncClient) -> dict[str, str]:
    """Tasks of every sort, and what makes them; return the ids of what has a picture of its own."""
    picture = {"url": "https://example.org/logo.png", "width": 300}
    for number in range(1, 13):
        await _made(
            client,
            title=f"Resize picture {number}",
            kind="resize",
            payload={**picture, "seconds": 0.2},
            labels={"team": "web"},
            process=True,
        )
    for number in range(1, 4):
        await _made(client, title=f"Say hello {number}", kind="echo", priority="high", process=True)
    await _made(client, title="Write the yearly report", run_at="2030-01-01T06:00:00Z", labels={"team": "finance"})
    await _made(client, title="Look at this by hand")
    failed = await _made(client, title="Write to the disk", kind="broken", payload={"gib": 12}, process=True)
    slow = {**picture, "seconds": 40.0}
    running = await _made(client, title="Resize the poster", kind="resize", payload=slow, process=True)
    nightly = {"kind": "echo", "title": "Write the nightly report"}
    timing = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin"}
    schedule = await _made(client, "/schedules", name="Nightly report", template=nightly, **timing)
    await _made(client, f"/schedules/{schedule}/run")
    beat = {"kind": "echo", "title": "Say that all is well"}
    await _made(client, "/schedules", name="Heartbeat", template=beat, interval_seconds=30)
    await _made(
        client,
        "/webhooks",
        url="https://example.org/hook",
        types=["failed"],
        description="To the people on call",
    )

    async def is_told() -> bool:
        minutes = (await client.get("/activity")).json()["items"]
        return bool(sum(minute["failed"] for minute in minutes))

    await eventually(is_told, within_seconds=30)
    return {"failed": failed, "running": running, "schedule": schedule}


async def _shoot(page: Page, url: str, tasks: dict[str, str], theme: str) -> None:
    pages = {
        "overview": "overview",
        "tasks": "tasks",
        "task": f"tasks/{tasks['failed']}",
        "task-running": f"tasks/{tasks['running']}",
        "new-task": "tasks/new?kind=resize",
        "schedules": "schedules",
        "schedule": f"schedules/{tasks['schedule']}",
        "queues": "queues",
        "processors": "processors",
        "webhooks": "webhooks",
    }
    for name, path in pages.items():
        await page.goto(f"{url}/ui/{path}")
        await page.wait_for_load_state("load")
        await page.wait_for_timeout(500)
        await page.screenshot(path=_IMAGES / f"dashboard-{name}-{theme}.png")


async def _main() -> None:
    _IMAGES.mkdir(exist_ok=True)
    with server_directory() as directory:
        environment = {"TASKMILL_APPS": "tests.support.pictures_app:app", "PYTHONPATH": str(ROOT)}
        stack = TaskmillUp(Path(directory) / "data", environment=environment)
        try:
            await stack.start()
            async with httpx.AsyncClient(base_url=stack.url) as client, running_browser() as browser:
                tasks = await _tasks(client)
                for theme in _THEMES:
                    scheme: Any = theme
                    page = await browser.new_page(viewport=_SIZE, color_scheme=scheme)  # type: ignore[arg-type]
                    await _shoot(page, stack.url, tasks, theme)
        finally:
            await stack.end()


if __name__ == "__main__":
    asyncio.run(_main())
