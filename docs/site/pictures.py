"""Pictures for the site: the lane's page, the wait board, the terminal view, of a made-up lane and day.

`python docs/site/pictures.py DIRECTORY`, run by `make docs` after pages.py; without chromium only the terminal view, as
SVG. What they show is made by the benches of the tests: no device, no broker.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT), str(ROOT / "tests/support")]

from eyes_bench import EyesBench  # noqa: E402
from served import CHROMIUM, DRIVER, browser, served  # noqa: E402

from drivers.events import LinkState  # noqa: E402
from edge.centre.arrival import Row, read  # noqa: E402
from edge.centre.board.app import Board  # noqa: E402
from edge.centre.sqlite_store import SqliteStore  # noqa: E402
from edge.centre.upkeep import Upkeep  # noqa: E402
from edge.contract.examples import EXAMPLES  # noqa: E402
from edge.messages import Message, Wait, encode, stamped, topic_of, utc_text  # noqa: E402
from edge.page.app import Page  # noqa: E402
from edge.page.feed import Feed  # noqa: E402
from edge.watch.app import WatchApp  # noqa: E402
from edge.watch.inbox import Inbox  # noqa: E402
from edge.watch.view import CrossingView  # noqa: E402
from edge.web.guard import Guard  # noqa: E402

_MINUTE_NS = 60_000_000_000


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    now_ns = time.time_ns()
    lines = [
        "# Pictures",
        "",
        "Of a made-up lane, crossing and day.",
        "",
        "## The terminal view, `borderflow watch`",
        "",
    ]
    asyncio.run(_terminal(out / "watch.svg", now_ns))
    lines.append("![terminal view](pictures/watch.svg)")
    if CHROMIUM is not None and DRIVER is not None:
        _lane_page(out / "page.png")
        _board(out / "board.png", now_ns)
        lines += ["", "## The lane's page, `borderflow page`", "", "![page of a lane computer](pictures/page.png)"]
        lines += ["", "## The wait board, `borderflow board`", "", "![wait board](pictures/board.png)"]
    (out.parent / "pictures.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _day(now_ns: int) -> Iterator[Message]:
    """The examples as they would come in these hours: a wait each five minutes, the rest now."""
    for kind, example in EXAMPLES.items():
        if kind != "wait":
            yield msgspec.structs.replace(example, time=utc_text(now_ns - _MINUTE_NS))
    wait = EXAMPLES["wait"]
    assert isinstance(wait, Wait)
    for program, factor in (("standard", 1.6), ("FAST", 1.0)):
        for n in range(60, -1, -1):
            expected_s = factor * (700 + 25 * min(n, 30))
            yield msgspec.structs.replace(
                wait, lane="_", program=program, time=utc_text(now_ns - 5 * n * _MINUTE_NS - _MINUTE_NS),
                expected_s=expected_s, low_s=0.8 * expected_s, high_s=1.3 * expected_s,
            )  # fmt: skip


async def _terminal(out: Path, now_ns: int) -> None:
    inbox = Inbox()
    for message in _day(now_ns):
        inbox.put(topic_of(message), msgspec.json.decode(encode(message)))
    app = WatchApp(inbox, CrossingView())
    async with app.run_test(size=(110, 20)) as pilot:
        app.draw()
        await pilot.pause()
        drawn = app.export_screenshot(title="borderflow watch")
    own_fonts = re.sub(r"@font-face \{[^}]*\}", "", drawn)  # the others come from a place elsewhere
    out.write_text(own_fonts, encoding="utf-8")


def _lane_page(out: Path) -> None:
    with tempfile.TemporaryDirectory() as directory, EyesBench(Path(directory)) as bench:
        bench.device("daq", LinkState.ONLINE, "in order")
        bench.pass_truck()
        page = Guard(Page(Feed(bench.config_path), "").app(), writes=False)
        with served(page) as port, browser(1000, 1100) as driver:
            driver.get(f"http://127.0.0.1:{port}/")
            time.sleep(1.5)
            driver.save_screenshot(str(out))


def _board(out: Path, now_ns: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "centre.db"
        store = SqliteStore(path)
        rows = []
        for seq, message in enumerate(_day(now_ns), 1):
            numbered = stamped(message, id=f"{seq:032x}", epoch="e", seq=seq)
            got = read(topic_of(numbered), encode(numbered), now_ns)
            assert isinstance(got, Row), got
            rows.append(got)
        store.write(rows, [], utc_text(now_ns))
        Upkeep(store).run(now_ns)
        store.close()
        board = Guard(Board(str(path), clock=lambda: now_ns).app())
        with served(board) as port, browser(1000, 1100) as driver:
            driver.get(f"http://127.0.0.1:{port}/crossing/CA/0453")
            driver.save_screenshot(str(out))


if __name__ == "__main__":
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    main(Path(sys.argv[1]))
