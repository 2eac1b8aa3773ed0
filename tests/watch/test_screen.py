"""The terminal view at 80x24, as a person at it: floods, a lost link, strangers' characters, filter and keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from rich.console import Console
from samples import ROOT, SITE, SOURCE, TIME_NS, status, vehicle
from textual.pilot import Pilot

from edge.alarms import Alarms, Condition
from edge.messages import Experienced, Message, Wait, encode, topic_of, utc_text
from edge.watch import plain
from edge.watch.app import DRAW_EVERY_S, Grid, WatchApp
from edge.watch.inbox import Inbox
from edge.watch.view import CrossingView, is_message
from edge.watch.words import Words, texts

SIZE = (80, 24)
NOW_S = TIME_NS / 1e9 + 45


def wait(lane: str = "C03", program: str | None = "FAST", direction: str = "inbound", source: str = SOURCE) -> Wait:
    return Wait(
        time=utc_text(TIME_NS), site=SITE, lane=lane, source=source, direction=direction, traffic="commercial",
        program=program, from_point="approach", to_point="booth", interval_s=60,  # type: ignore[arg-type]
        experienced=Experienced(count=4, median_s=300.0, p10_s=250.0, p90_s=360.0, p95_s=400.0),
        expected_s=754.0, low_s=600.0, high_s=900.0, queue_vehicles=12.0, throughput_per_h=48.0, lower_bound=False,
        method="fused", match_rate=0.9, reference_s=None, change=None, bottleneck=None,
    )  # fmt: skip


def body(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(encode(message))
    return made


def put(inbox: Inbox, *messages: Message) -> None:
    for message in messages:
        assert is_message(topic_of(message), body(message))
        inbox.put(topic_of(message), body(message))


def alarm(severity_of: str = "device_down", device: str = "camera") -> Message:
    args: dict[str, str | int | float] = {"reason": "refused", "case": "network"}
    (made,) = Alarms(SITE, SOURCE).set(Condition(severity_of, device, "C03"), True, TIME_NS - 600 * 10**9, args=args)
    return made


def screen(app: WatchApp) -> str:
    """All characters that stand on it."""
    lines = app.screen._compositor.render_strips()
    assert len(lines) == SIZE[1]
    return "\n".join(line.text for line in lines)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox(clock=lambda: NOW_S)
    yield made
    made.close()


async def drawn(pilot: Pilot[None]) -> str:
    app = pilot.app
    assert isinstance(app, WatchApp)
    app.draw()
    await pilot.pause()
    return screen(app)


async def test_alarms_stand_above_and_everything_has_its_age_and_place(inbox: Inbox) -> None:
    put(inbox, wait(), alarm(), status(True))
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        shown = await drawn(pilot)
        lines = shown.splitlines()
        assert "last message 0 s ago" in lines[0]
        (held,) = [n for n, line in enumerate(lines) if line.startswith("warning") or line.startswith("critical")]
        (row,) = [n for n, line in enumerate(lines) if line.lstrip().startswith("45 s")]
        assert held < row
        for word in ("10 min", "CA/0453", SOURCE, "C03", "device_down"):
            assert word in lines[held]
        for word in ("45 s", "CA/0453", SOURCE, "C03", "in", "FAST", "12:34", "10:00 – 15:00"):
            assert word in lines[row]
        assert "q quit" in lines[-1]
        await pilot.press("3")
        assert "online" in await drawn(pilot)


async def test_a_computer_that_is_offline_stands_above_all_alarms(inbox: Inbox) -> None:
    put(inbox, wait(), alarm(), status(False))
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        lines = (await drawn(pilot)).splitlines()
        gone, held = [line for line in lines if line.startswith(("warning", "critical"))]
        assert "device_down" in held
        for word in ("CA/0453", SOURCE, "offline", "it says nothing"):
            assert word in gone


async def test_nothing_is_empty_without_a_word(inbox: Inbox) -> None:
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        shown = await drawn(pilot)
        for word in ("no message yet", "No alarm holds.", "No wait yet"):
            assert word in shown
        await pilot.press("2")
        assert "No vehicle yet." in await drawn(pilot)


async def test_it_draws_while_messages_flood_in(inbox: Inbox) -> None:
    """The timer draws: 10,000 messages between two drawings are one drawing, and the keys still work."""
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        said = body(wait())
        for n in range(10_000):
            inbox.put(f"{ROOT}/L{n % 3000}/wait", said)
        await pilot.pause(2 * DRAW_EVERY_S)
        assert "L0" in screen(pilot.app)  # type: ignore[arg-type]
        assert pilot.app.view.counts["wait"] == 10_000  # type: ignore[attr-defined]
        await pilot.press("end")
        assert "L999" in await drawn(pilot)


async def test_a_lost_link_is_said_with_its_age_and_taken_back(inbox: Inbox) -> None:
    now = [NOW_S]
    inbox.clock = lambda: now[0]
    put(inbox, wait())
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        assert "LINK GONE" not in await drawn(pilot)
        inbox.linked(False)
        now[0] += 90
        assert "LINK GONE for 90 s" in await drawn(pilot)
        inbox.linked(True)
        shown = await drawn(pilot)
        assert "LINK GONE" not in shown
        assert "last message 90 s ago" in shown


HOSTILE = "[red]x[/] \x1b[2J\x1b]0;owned\x07\r\n\x9b31m‮evil​ \ud800 [link=http://x]y[/link] " + "A" * 5000


async def test_what_strangers_write_is_shown_harmless(inbox: Inbox) -> None:
    made = body(wait())
    inbox.put(topic_of(wait()), {**made, "direction": HOSTILE, "program": None})
    begun = body(alarm())
    inbox.put(topic_of(alarm()), {**begun, "text": HOSTILE, "device": HOSTILE, "time": HOSTILE})
    far = {**made, "time": "9999-12-31T23:59:59Z", "expected_s": float("inf"), "queue_vehicles": float("nan")}
    inbox.put(f"{ROOT}/\x1b[5m/wait", {**far, "lane": "\x1b[5m"})
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        shown = await drawn(pilot)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\ud800]", shown)
        assert "[red]x[/]" in shown, "markup is text"
        assert "ahead" in shown
        await pilot.press("tab")
        assert "[link=http://x]" in await drawn(pilot)


async def test_a_filter_keeps_what_holds_its_words_and_escape_drops_it(inbox: Inbox) -> None:
    put(inbox, wait("C01"), wait("C02", program="standard"), wait("C02", direction="outbound", source="edge-2"))
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        await drawn(pilot)
        grid = pilot.app.query_one("#sheet", Grid)
        assert len(grid.rows) == 3
        await pilot.press("slash", *"edge-2", "space", *"c02", "enter")
        assert len(grid.rows) == 1
        assert "filter: edge-2 c02" in await drawn(pilot)
        await pilot.press("slash", *"zz")
        assert "Nothing fits the filter." in await drawn(pilot)
        await pilot.press("escape")
        assert len(grid.rows) == 3
        assert not pilot.app._exit


async def test_columns_that_do_not_fit_are_reached_and_rows_scroll(inbox: Inbox) -> None:
    put(inbox, *(wait(f"L{n:02}") for n in range(50)))
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        first = await drawn(pilot)
        assert "→" in first
        assert "fused" not in first.rsplit("age", 1)[0]
        assert "L00" in first
        await pilot.press("end", *["right"] * 4)
        last = await drawn(pilot)
        assert "L49" not in last or "method" in last
        assert "fused" in last
        await pilot.press("q")
    assert pilot.app.return_code == 0


async def test_vehicles_newest_first_beside_their_truth_only_where_it_is_known(inbox: Inbox) -> None:
    put(inbox, vehicle("C01"), vehicle("C02", TIME_NS + 10**9))
    async with WatchApp(inbox, CrossingView()).run_test(size=SIZE) as pilot:
        await pilot.press("2")
        shown = await drawn(pilot)
        assert shown.index("C02") < shown.index("C01")
        assert "true t" not in shown
        inbox.put("truth", {"kind": "vehicle", "lane": "C01", "time": utc_text(TIME_NS), "gross_kg": 25_000.0})
        assert "true t" in await drawn(pilot)


@pytest.mark.parametrize("language", ["en", "fr", "es"])
async def test_the_languages_have_the_same_words_and_the_help_fits(language: str, inbox: Inbox) -> None:
    assert texts()[language].keys() == texts()["en"].keys()
    assert all(texts()[language].values())
    assert len(texts()[language]["help"]) <= SIZE[0]
    put(inbox, wait(), alarm())
    async with WatchApp(inbox, CrossingView(language=language)).run_test(size=SIZE) as pilot:
        shown = await drawn(pilot)
        assert texts()[language]["alarms"].format(count=1) in shown
        held = {"en": "device camera: refused", "fr": "appareil camera : refused", "es": "aparato camera: refused"}
        await pilot.press("tab")
        assert held[language] in " ".join((await drawn(pilot)).split())


def test_without_textual_the_same_tables_fit_the_terminal(inbox: Inbox) -> None:
    put(inbox, *(wait(f"L{n:02}") for n in range(50)), alarm(), status(True))
    view = CrossingView()
    inbox.drain(view)
    console = Console(width=80, height=24)
    with console.capture() as held:
        console.print(plain.draw("borderflow", inbox, view, Words(), SIZE))
    lines = held.get().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(("warning", "critical")) for line in lines[:4])
    inbox.linked(False)
    with console.capture() as held:
        console.print(plain.draw("borderflow", inbox, view, Words(), SIZE))
    assert "LINK GONE" in held.get()


def test_a_full_inbox_lets_go_when_it_is_closed(inbox: Inbox) -> None:
    for _ in range(10_000):
        inbox.put("t", {})
    inbox.close()
    inbox.put("t", {})  # returns
