"""The page in a real browser: under its own content security policy, on a phone, by keyboard, with the scope live."""

from __future__ import annotations

import time
from typing import Any

import pytest
from bench import wait_for
from eyes_bench import TOKEN, EyesBench
from served import browser

from drivers.events import LinkState


@pytest.mark.timeout(120)
def test_a_browser_shows_the_lane_and_the_scope(bench: EyesBench, port: int) -> None:
    bench.device("daq", LinkState.ONLINE, "in order")
    bench.pass_truck()
    with browser(width=420, height=900) as driver:
        for path in ("/?lang=es", "/lane/C03?lang=fr"):
            driver.get(f"http://127.0.0.1:{port}{path}")
            wide, room = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= room, path
        wait_for("the scope", lambda: bench.crossing.scope is not None, 10)
        bench.pass_truck(reversed_half=True)
        says = lambda: _text(driver, "#scope-list")  # noqa: E731
        wait_for("the waveform", lambda: "line2-right: part dans le mauvais sens" in says(), 10)
        assert "16.0" in says()
        assert _painted(driver, "#waves") > 50
        _keyboard(driver)
        driver.execute_script("document.getElementById('token').value = arguments[0]", TOKEN)
        driver.execute_script("document.getElementById('save').click()")
        wait_for("the saving", lambda: "Enregistré" in _text(driver, "#saved"), 10)
        # An alarm that begins is seen without a reload.
        driver.get(f"http://127.0.0.1:{port}/")
        bench.device("tag", LinkState.DOWN, "cannot be reached")
        wait_for("the alarm", lambda: "cannot be reached" in _text(driver, "main"), 8)
        errors = [line for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
        assert not errors


def _text(driver: Any, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def _painted(driver: Any, selector: str) -> int:
    """How many pixels of a canvas differ from the first."""
    return int(
        driver.execute_script(
            "const c = document.querySelector(arguments[0]); let n = 0; "
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
            "for (let i = 0; i < d.length; i += 4) if (d[i + 3] !== d[3] || d[i] !== d[0]) n++; return n;",
            selector,
        )
    )


def _keyboard(driver: Any) -> None:
    """Every control is reached with the Tab key, in order, and Enter freezes the picture."""
    from selenium.webdriver.common.keys import Keys

    driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = []
    for _ in range(12):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(driver.execute_script("return document.activeElement.id || document.activeElement.className"))
        if reached[-1] == "freeze":
            driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert reached[0] == "skip"
    assert [name for name in reached if name in ("freeze", "seconds", "token", "save")] == [
        "freeze",
        "seconds",
        "token",
        "save",
    ]
    assert driver.execute_script("return document.getElementById('freeze').getAttribute('aria-pressed')") == "true"
    before = _text(driver, "#scope-says")
    time.sleep(1.0)
    assert _text(driver, "#scope-says") == before
    driver.execute_script("document.getElementById('freeze').click()")
