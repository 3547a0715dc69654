"""The dashboard in a headless Chromium, on a stack as a user starts it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from benchmarks.machine import server_directory
from taskmill.cli.embedded.ports import LOOPBACK
from tests.support.browser import running_browser
from tests.support.eventually import eventually
from tests.support.paths import ROOT
from tests.support.stack import TaskmillUp

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

WITHIN_MILLISECONDS = 20_000
AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("overview", "tasks", "tasks/new?kind=resize", "schedules", "queues", "processors", "webhooks")

expect.set_options(timeout=WITHIN_MILLISECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[TaskmillUp]:
    """Everything, with kinds to look at, for all tests here: each has tasks of its own."""
    with server_directory() as directory:
        environment = {"TASKMILL_APPS": "tests.support.pictures_app:app", "PYTHONPATH": str(ROOT)}
        stack = TaskmillUp(directory / "data", environment=environment)
        try:
            await stack.start()
            yield stack
        finally:
            await stack.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium."""
    async with running_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, stack: TaskmillUp) -> AsyncIterator[Page]:
    """A page without a past, on which no script may fail and nothing be refused."""
    context = await browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900})
    async with _sound_page(context) as page:
        yield page


class _SoundPage:
    """A page that is closed in the end, and then had no errors."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._errors: list[str] = []

    async def __aenter__(self) -> Page:
        page = await self._context.new_page()
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", lambda said: self._errors.append(said.text) if _is_violation(said.text) else None)
        return page

    async def __aexit__(self, *_exception: object) -> None:
        await self._context.close()
        assert self._errors == []


def _sound_page(context: BrowserContext) -> _SoundPage:
    return _SoundPage(context)


def _is_violation(text: str) -> bool:
    # That nobody answers is what a test of a lost connection wants.
    is_outage = text.startswith(("htmx:sendError", "htmx:afterRequest"))
    return "Content Security Policy" in text or ("htmx:" in text and not is_outage)


async def submit(stack: TaskmillUp, **fields: Any) -> str:
    """Make a task over REST; return its id."""
    async with httpx.AsyncClient(base_url=stack.url) as client:
        answer = await client.post("/tasks", json={"title": "Say hello", **fields})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return str(answer.json()["id"])


async def read(stack: TaskmillUp, task_id: str) -> dict[str, Any]:
    """A task over REST."""
    async with httpx.AsyncClient(base_url=stack.url) as client:
        task: dict[str, Any] = (await client.get(f"/tasks/{task_id}")).json()
        return task


async def ended(stack: TaskmillUp, task_id: str) -> None:
    """Wait until a task has ended."""

    async def is_ended() -> bool:
        return (await read(stack, task_id))["status"] in {"completed", "failed", "cancelled"}

    await eventually(is_ended)


async def test_a_task_is_made_in_the_form_and_watched_to_its_end(page: Page) -> None:
    """The form has a field for each part of the payload; the page of the task moves without being loaded again."""
    await page.goto("/ui/tasks/new")
    await page.get_by_label("Kind").fill("resize")
    await page.get_by_label("Title").click()
    await page.get_by_label("Title").fill("Resize the logo")
    await page.get_by_label("url").fill("https://example.org/logo.png")
    await page.get_by_label("width").fill("9999")
    await page.get_by_role("button", name="Create").click()
    # What is wrong stands beside the field that it is of, and what was typed stays.
    wrong = page.get_by_label("width")
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(page.locator('[id="error-payload.width"]')).to_contain_text("4096")
    await expect(page.get_by_label("url")).to_have_value("https://example.org/logo.png")
    await wrong.fill("300")
    await page.get_by_role("button", name="Create").click()
    await expect(page).to_have_url(re.compile(r"/ui/tasks/[0-9a-f-]{36}$"))
    await page.evaluate("window.wasLoadedOnce = true")
    await expect(page.get_by_role("heading", name="Resize the logo")).to_be_visible()
    await expect(page.locator(".heading .status")).to_have_text("completed")
    await expect(page.locator("#result-title + pre")).to_contain_text('"width": 300')
    await expect(page.locator(".lines")).to_contain_text("nearly done")
    await expect(page.locator(".timeline li")).to_have_count(4)
    assert await page.evaluate("window.wasLoadedOnce")


async def test_what_is_typed_while_a_form_is_fetched_stays(page: Page) -> None:
    """The form of another kind may take its time: nobody types the title a second time."""
    let_go = asyncio.Event()

    async def late(route: Route) -> None:
        await let_go.wait()
        await route.continue_()

    await page.goto("/ui/tasks/new")
    await page.route("**/ui/tasks/new?*", late)
    await page.get_by_label("Kind").fill("resize")
    await page.get_by_label("Title").fill("Resize the logo")
    let_go.set()
    await expect(page.get_by_label("width")).to_be_visible()
    await expect(page.get_by_label("Title")).to_have_value("Resize the logo")
    await expect(page.get_by_label("Kind")).to_have_value("resize")


async def test_the_list_is_live(page: Page, stack: TaskmillUp) -> None:
    """A task that somebody else makes appears, and moves, in a list that stands open; what is ticked stays ticked."""
    await page.goto("/ui/tasks?label=test:live")
    await expect(page.get_by_text("No task meets all of this")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("data-live", "yes")
    first = await submit(stack, title="The first", labels={"test": "live"})
    box = page.locator(f"#t-{first} input[name=id]")
    await box.check()
    second = await submit(stack, title="The second", kind="echo", process=True, labels={"test": "live"})
    await expect(page.locator(f"#t-{second} .status")).to_have_text("completed")
    await expect(box).to_be_checked()
    await expect(page.locator("#ticked")).to_have_text("1 ticked")


async def test_a_task_is_cancelled(page: Page, stack: TaskmillUp) -> None:
    """The page says that it was asked, and then that it is done."""
    task_id = await submit(stack, kind="sleep", payload={"seconds": 60}, process=True)
    await page.goto(f"/ui/tasks/{task_id}")
    await expect(page.locator(".heading .status")).to_have_text("in progress")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator(".heading .status")).to_have_text("cancelled")
    await expect(page.get_by_role("button", name="Process again")).to_be_visible()


async def test_the_filter_stands_in_the_address(page: Page, stack: TaskmillUp) -> None:
    """What is searched for can be sent to somebody else, and the counts are those of what is searched."""
    for title in ("Invoice 17", "Invoice 18", "Letter"):
        await submit(stack, title=title, labels={"test": "filter"})
    done = await submit(stack, title="Invoice 19", kind="echo", process=True, labels={"test": "filter"})
    await ended(stack, done)
    await page.goto("/ui/tasks?label=test:filter")
    await expect(page.locator("[data-row]")).to_have_count(4)
    await page.keyboard.press("/")
    await page.keyboard.type("invoice")
    await expect(page.locator("[data-row]")).to_have_count(3)
    await expect(page).to_have_url(re.compile("title=invoice"))
    await expect(page.locator(".chips a.pending")).to_have_text("pending 2")
    # As slowly as people do: that the field is left must not put others in the place of what is clicked.
    await page.locator(".chips a.pending").click(delay=150)
    await expect(page.locator("[data-row]")).to_have_count(2)
    await expect(page).to_have_url(re.compile("status=pending"))
    await page.reload()
    await expect(page.locator("[data-row]")).to_have_count(2)
    await page.goto("/ui/tasks?kind=No%20Kind")
    await expect(page.locator(".problem")).to_contain_text("kind")


async def test_failed_tasks_are_processed_all_at_once(page: Page, stack: TaskmillUp) -> None:
    """All that match, with how many these are before it begins."""
    tasks = [await submit(stack, kind="broken", process=True, labels={"test": "bulk"}) for _ in range(3)]
    for task_id in tasks:
        await ended(stack, task_id)
    await page.goto("/ui/tasks?label=test:bulk&status=failed")
    await page.get_by_label("all that match").check()
    await page.get_by_role("button", name="Process", exact=True).click()
    await expect(page.get_by_role("heading", name="Process 3 tasks?")).to_be_visible()
    await page.get_by_role("button", name="Process 3").click()
    await expect(page).to_have_url(re.compile("/ui/operations/"))
    await expect(page.locator("#operation [role=status]")).to_contain_text("Done")
    assert [(await read(stack, task_id))["run"] for task_id in tasks] == [2, 2, 2]


async def test_keys_move_through_the_list(page: Page, stack: TaskmillUp) -> None:
    """`j` and `k` move, `x` ticks, Enter opens, `?` tells of them."""
    made = [await submit(stack, title=f"Row {number}", labels={"test": "keys"}) for number in range(3)]
    await page.goto("/ui/tasks?label=test:keys&sort=created_at")
    await expect(page.locator("[data-row]")).to_have_count(3)
    for key in ("j", "j", "j", "k", "x"):
        await page.keyboard.press(key)
    await expect(page.locator(f"#t-{made[1]} input[name=id]")).to_be_checked()
    await page.keyboard.press("?")
    await expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(made[1]))


async def test_a_task_is_edited_and_cloned(page: Page, stack: TaskmillUp) -> None:
    """Big integers stay what they are; what is wrong stands beside its field."""
    task_id = await submit(stack, kind="echo", payload={"n": 9007199254740993})
    await page.goto(f"/ui/tasks/{task_id}/edit")
    await page.get_by_label("Title").fill("Say good-bye")
    await page.get_by_label("Payload, as JSON").fill('{"n": 9223372036854775807')
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Payload, as JSON")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Payload, as JSON").fill('{"n": 9223372036854775807}')
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Say good-bye")).to_be_visible()
    await expect(page.locator("#payload-title + pre")).to_contain_text("9223372036854775807")
    await page.get_by_role("link", name="Clone").click()
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("#result-title + pre")).to_contain_text("9223372036854775807")


async def test_a_queue_is_paused_and_resumed(page: Page, stack: TaskmillUp) -> None:
    """Beside what waits in it."""
    await submit(stack, kind="echo", queue="letters", process=True)
    await page.goto("/ui/queues")
    row = page.locator("#q-letters")
    await row.get_by_role("button", name="Pause").click()
    await expect(row.locator(".status")).to_have_text("paused")
    await row.get_by_role("button", name="Resume").click()
    await expect(row.get_by_role("button", name="Pause")).to_be_visible()


async def test_a_schedule_runs_now(page: Page, stack: TaskmillUp) -> None:
    """Its next times are shown; it can be paused, resumed, and run at once."""
    async with httpx.AsyncClient(base_url=stack.url) as client:
        template = {"kind": "echo", "title": "Report"}
        wanted = {"name": "Nightly", "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "template": template}
        made = await client.post("/schedules", json=wanted)
        assert made.status_code == httpx.codes.CREATED, made.text
    await page.goto("/ui/schedules")
    await page.get_by_role("link", name="Nightly").click()
    await expect(page.locator(".timeline li")).to_have_count(10)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".heading .status")).to_have_text("paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".timeline li")).to_have_count(10)
    await page.get_by_role("button", name="Run now").click()
    await expect(page).to_have_url(re.compile("/ui/tasks/"))
    await expect(page.locator(".heading .status")).to_have_text("completed")


async def test_a_lost_connection_is_told_and_found_again(page: Page, stack: TaskmillUp) -> None:
    """While no gateway is there the page says so, and is right again afterwards."""
    task_id = await submit(stack, title="Before", labels={"test": "lost"})
    await page.goto("/ui/tasks?label=test:lost")
    await expect(page.locator("html")).to_have_attribute("data-live", "yes")
    await page.context.set_offline(True)
    await stack.kill("gateway")
    await expect(page.locator("#connection")).to_be_visible()
    await submit(stack, title="Meanwhile", labels={"test": "lost"})
    await page.context.set_offline(False)
    await expect(page.locator("#connection")).to_be_hidden()
    await expect(page.locator("[data-row]")).to_have_count(2)
    await expect(page.locator(f"#t-{task_id}")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_accessible(theme: str, page: Page, stack: TaskmillUp) -> None:
    """axe-core finds nothing serious, in both themes; nor does a page overflow on a phone."""
    task_id = await submit(stack, kind="broken", process=True, labels={"team": "web"})
    await ended(stack, task_id)
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    for address in (*PAGES, f"tasks/{task_id}", f"tasks/{task_id}/edit", "nowhere"):
        await page.goto(f"/ui/{address}")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        await page.evaluate(AXE.read_text())
        found = await page.evaluate("axe.run()")
        serious = [
            (violation["id"], [node["html"] for node in violation["nodes"]])
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        assert serious == [], address
        await page.set_viewport_size({"width": 390, "height": 800})
        # Charts are drawn anew a moment later.
        await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        await page.set_viewport_size({"width": 1280, "height": 900})


async def test_the_theme_is_kept(page: Page) -> None:
    """What was chosen holds for the next page."""
    await page.emulate_media(color_scheme="light")
    await page.goto("/ui/tasks")
    await page.get_by_role("button", name="Switch between dark and light").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.goto("/ui/queues")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_pages_of_other_sites_can_do_nothing(stack: TaskmillUp) -> None:
    """A form that another site sends lacks a header that only a script of ours can set."""
    async with httpx.AsyncClient(base_url=stack.url) as client:
        form = {"kind": "echo", "title": "x", "process": "true"}
        assert (await client.post("/ui/tasks/new", data=form)).status_code == httpx.codes.FORBIDDEN
        foreign = {"HX-Request": "true", "Origin": "https://example.org", "Host": f"{LOOPBACK}:{stack.port}"}
        assert (await client.post("/ui/tasks/new", data=form, headers=foreign)).status_code == httpx.codes.FORBIDDEN
