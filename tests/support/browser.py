"""A headless Chromium for tests: Debian's, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where Chromium is; None: there is none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def require_browser(program: str | None, environment: Mapping[str, str]) -> None:
    """Skip the running test where there is no Chromium, but fail it in CI, which has to bring one.

    Args:
        program: Where Chromium is, if there is one.
        environment: Has `CI=true` in CI.
    """
    if program is not None:
        return
    reason = "needs Chromium (Debian: apt-get install chromium)"
    if environment.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Start Chromium, and end it."""
    async with async_playwright() as playwright:
        # It refuses root its sandbox; what it opens here is our own.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=chromium(), args=options)
        try:
            yield browser
        finally:
            await browser.close()
