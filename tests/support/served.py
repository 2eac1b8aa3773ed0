"""A page served in this process, asked as a browser asks, and looked at by a real one where it is installed."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp

from edge.web.serve import Address, bind

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[int]:
    """Gives the port."""
    listener = bind(Address("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    """Status, type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.getheader("content-type", ""), answer.read()
    connection.close()
    return found


@contextlib.contextmanager
def browser(width: int = 1200, height: int = 1400) -> Iterator[Any]:
    """Chromium without a screen; skips where it is missing."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromium-driver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def contrast(one: str, other: str) -> float:
    """Of two colours as `#rgb` or `#rrggbb` (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * c for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
