"""The wait board: what the public reads, what operators read, in three languages, and in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import lane_messages as messages
import msgspec
import pytest

from edge.centre.arrival import Row, read
from edge.centre.board.app import Board
from edge.centre.board.words import texts
from edge.centre.sqlite_store import SqliteStore
from edge.centre.upkeep import Upkeep
from edge.messages import Experienced, Message, Site, Wait, topic_of, utc_text
from edge.web.guard import Guard
from edge.web.language import language_of
from edge.web.serve import Address, bind
from edge.words.values import LANGUAGES

CHROMIUM = shutil.which("chromium")
NOW_NS = 1_790_092_800 * 1_000_000_000  # 2026-09-22T16:00Z, a Tuesday, 12:00 in Toronto
MINUTE_NS = 60_000_000_000
BOARD = Path(__file__).parents[2] / "edge" / "centre" / "board"
HOSTILE = '<script>alert(1)</script>"><img src=x>'


def wait(program: str, minutes_ago: float, expected_s: float | None, **keys: Any) -> Wait:
    count = 0 if expected_s is None else 7
    experienced = Experienced(count=count, median_s=expected_s, p10_s=None, p90_s=None, p95_s=None)
    return msgspec.structs.replace(
        messages.wait(0), lane="_", time=utc_text(NOW_NS - int(minutes_ago * MINUTE_NS)), direction="inbound",
        traffic="commercial", program=program, expected_s=expected_s, experienced=experienced,
        low_s=expected_s and 0.8 * expected_s, high_s=expected_s and 1.5 * expected_s, **keys,
    )  # fmt: skip


def made() -> list[Message]:
    status = msgspec.structs.replace(
        messages.status(0), time=utc_text(NOW_NS - MINUTE_NS), timezone="America/Toronto", site_name="Ambassador Bridge"
    )
    weeks = [wait("standard", week * 7 * 1440 + n, 1500.0) for week in range(1, 5) for n in (60, 50)]
    alarm = msgspec.structs.replace(messages.alarm(0), time=utc_text(NOW_NS - 30 * MINUTE_NS), text=HOSTILE)
    hostile = msgspec.structs.replace(
        status, site=Site(country="CA", port="x"), source="evil", site_name=HOSTILE, timezone="No/Where"
    )
    return [
        status, *weeks, wait("standard", 40, 1200.0), wait("standard", 1, 1260.0, lower_bound=True),
        wait("FAST", 1, None),
        msgspec.structs.replace(wait("standard", 30, 600.0), traffic="bus"), alarm, hostile,
        *(messages.flow(NOW_NS - n * MINUTE_NS, n % 3) for n in range(180, 0, -1)),
        msgspec.structs.replace(messages.vehicle(0), time=utc_text(NOW_NS - 5 * MINUTE_NS)),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "centre.db"
    store, numbers, rows = SqliteStore(path), dict[str, int](), []
    for message in made():
        seq = numbers[topic_of(message)] = numbers.get(topic_of(message), 0) + 1
        got = read(*messages.sent(message, seq), NOW_NS)
        assert isinstance(got, Row), got
        rows.append(got)
    store.write(rows, [], utc_text(NOW_NS))
    Upkeep(store).run(NOW_NS)
    store.close()
    return path


@pytest.fixture(scope="module")
def served(database: Path) -> Iterator[str]:
    """The board at the time of the messages, behind its guard; gives its address."""
    uvicorn = pytest.importorskip("uvicorn")
    listener = bind(Address("127.0.0.1", 0))
    app = Guard(Board(str(database), clock=lambda: NOW_NS).app())
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


def get(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return str(answer.read().decode())


def test_known_unknown_and_no_news_are_three_things(served: str) -> None:
    told = json.loads(get(f"{served}/api/v1/waits"))
    (crossing,) = (c for c in told["crossings"] if c["port"] == "0453")
    groups = {(group["traffic"], group["program"]): group for group in crossing["groups"]}
    known, unknown, stale = groups["commercial", "standard"], groups["commercial", "FAST"], groups["bus", "standard"]
    assert (known["state"], known["expected_s"], known["low_s"], known["at_least"]) == ("known", 1260.0, 1008.0, True)
    assert (unknown["state"], unknown["expected_s"]) == ("unknown", None)
    assert (stale["state"], stale["expected_s"], stale["age_s"]) == ("stale", None, 1800.0)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["at least", "21", "17 to 32 min likely", "not known", "no news", "30 min ago"]),
        ("fr", ["au moins", "probablement 17 à 32 min", "inconnue", "pas de nouvelles", "il y a 30 min"]),
        ("es", ["al menos", "probablemente de 17 a 32 min", "no se sabe", "sin noticias", "hace 30 min"]),
    ],
)
def test_the_public_reads_it_in_three_languages(served: str, language: str, words: list[str]) -> None:
    for page in (get(f"{served}/?lang={language}"), get(served, **{"Accept-Language": f"xx, {language};q=0.8"})):
        assert f'<html lang="{language}">' in page
        assert all(word in page for word in words)
        assert "Ambassador Bridge" in page


def test_todays_curve_stands_beside_a_usual_day(served: str) -> None:
    told = json.loads(get(f"{served}/api/v1/crossings/CA/0453"))
    (curve,) = (g["curve"] for g in told["groups"] if (g["traffic"], g["program"]) == ("commercial", "standard"))
    eleven = NOW_NS // 10**9 - 3600
    assert dict(curve["usual"])[eleven] == 1500.0
    assert dict(curve["usual"])[eleven - 3600] is None
    assert dict(curve["today"])[eleven + 900] == 1200.0
    page = get(f"{served}/crossing/CA/0453?lang=fr")
    assert "mardi habituel" in page
    assert "Aucune attente prévue" in page  # FAST has no figure, and no empty plot


def test_operators_see_alarms_lanes_coverage_and_classes(served: str) -> None:
    told = json.loads(get(f"{served}/api/v1/operator/CA/0453"))
    assert [alarm["code"] for alarm in told["alarms"]] == ["device_down"]
    assert [(lane["lane"], lane["vehicles"]) for lane in told["lanes"]] == [("C03", 1)]
    assert [hour["state"] for hour in told["coverage"][0]["hours"]][-3:] == ["counted"] * 3
    assert told["classes"][0]["gross_kg"]["p50"] == 20_900.0
    page = get(f"{served}/operator/CA/0453")
    assert all(text in page for text in ("device_down", "Coverage of today", "Nothing is missing.", "fhwa 6"))


def test_what_a_hostile_publisher_says_is_shown_escaped(served: str) -> None:
    for path in ("/", "/operator", "/crossing/CA/x", "/operator/CA/0453", "/operator/CA/x"):
        page = get(served + path)
        assert "<script>alert" not in page
        assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in get(served)


def test_what_is_not_there_is_404_and_another_name_is_refused(served: str) -> None:
    for path in ("/crossing/US/1", "/static/../app.py", "/static/x", "/operator/CA/none", "/api/v1/nothing"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(served + path)
    with pytest.raises(urllib.error.HTTPError, match="421"):
        get(served, Host="evil.example")


def test_the_public_board_has_nothing_for_operators(database: Path) -> None:
    paths = {route.path for route in Board(str(database), public=True).app().routes}  # type: ignore[attr-defined]
    assert not any("operator" in path or "alarms" in path for path in paths)


def test_prometheus_reads_it(served: str, tmp_path: Path) -> None:
    text = get(f"{served}/metrics")
    assert 'borderflow_centre_alarms{country="CA",port="0453",severity="critical"} 1.0' in text
    assert re.search(r'expected_wait_seconds\{.*program="standard".*\} 1260.0', text)
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_text_is_there_in_every_language() -> None:
    first, *others = (texts()[language] for language in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()
        for key, text in first.items():
            fields = re.findall(r"\{(\w+)\}", str(text))
            assert sorted(re.findall(r"\{(\w+)\}", str(other[key]))) == sorted(fields), key
    used = set(re.findall(r'words\["(\w+)"\]|say\("(\w+)"', "".join(p.read_text() for p in BOARD.rglob("*.html"))))
    assert {a or b for a, b in used} <= first.keys()


@pytest.mark.parametrize(
    ("asked", "accepts", "wanted"),
    [(None, "", "en"), ("fr", "es", "fr"), ("de", "es-MX,es;q=0.9", "es"), (None, "en;q=0.1, fr-CA;q=0.9", "fr"),
     (None, ";;;q=x,,", "en"), (None, "fr;q=0", "en"), ("'", "zh", "en")],
)  # fmt: skip
def test_the_language_of_a_reader(asked: str | None, accepts: str, wanted: str) -> None:
    assert language_of(asked, accepts) == wanted


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * c for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_every_text_has_the_contrast_of_wcag_aa() -> None:
    """Contrast of WCAG 2.2, 1.4.3: at least 4.5, in light and dark."""
    themes = re.findall(r"\{ (color-scheme[^}]*|--ink[^}]*)\}", (BOARD / "static" / "board.css").read_text())
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", theme))
        pairs = [(ink, back) for ink in ("ink", "soft", "accent", "bad", "warn", "good") for back in ("paper", "panel")]
        for one, other in [*pairs, ("ink", "hole"), ("paper", "accent")]:
            light, dark = sorted((_luminance(colours[one]), _luminance(colours[other])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (one, other)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("path", ["/?lang=es", "/crossing/CA/0453?lang=fr", "/operator/CA/0453"])
def test_a_browser_shows_it_on_a_phone_without_scrolling_sideways(served: str, tmp_path: Path, path: str) -> None:
    """The browser runs the page's own script and style under its content security policy, and reports no error."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--enable-logging=stderr", "--window-size=400,900", "--virtual-time-budget=3000", "--dump-dom", served + path,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "<main" in done.stdout
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line and "rror" in line], done.stderr


def test_headings_go_down_by_one_and_every_plot_has_a_name(served: str) -> None:
    for path in ("/", "/crossing/CA/0453", "/operator", "/operator/CA/0453"):
        page = get(served + path)
        levels = [int(level) for level in re.findall(r"<h(\d)", page)]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels))
        assert page.count("<svg") == len(re.findall(r'<svg[^>]*role="img" aria-label="[^"]', page))


def test_the_command_says_where_it_serves_and_what_is_wrong(database: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "board", str(database), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = process.stderr.readline().strip()
    for _ in range(100):
        try:
            assert "Ambassador Bridge" in get(url)
            break
        except urllib.error.URLError:
            time.sleep(0.1)
    process.terminate()
    assert process.wait(10) == 0
    for database_name, listen, code in (("none.db", "127.0.0.1:0", 69), (str(database), "nowhere", 73)):
        command = [sys.executable, "-m", "edge", "board", str(tmp_path / database_name), "--listen", listen]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def test_pages_come_with_the_package() -> None:
    project = tomllib.loads((BOARD.parents[2] / "pyproject.toml").read_text())
    assert "templates/*.html" in project["tool"]["setuptools"]["package-data"]["edge.centre.board"]
