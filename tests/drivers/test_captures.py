"""Logs of devices, played to the real drivers: what comes out is compared, line by line, with a golden file.

`tests/captures/NAME.jsonl` has a header line and then the lines that `borderflow record` writes: `rx` is what the
device sends, `tx` what it must have been sent before it goes on. `NAME.events` is what must come out. To make the
golden files anew (a change of its own, looked at line by line): `REGOLD=1 pytest tests/drivers/test_captures.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from capture_player import play_to_driver, told

from drivers.events import LinkState

CAPTURES = Path(__file__).parents[1] / "captures"
_MAKE_ANEW = bool(os.environ.get("REGOLD"))


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURES.glob("*.jsonl")))
async def test_capture(name: str) -> None:
    lines = [json.loads(line) for line in (CAPTURES / f"{name}.jsonl").read_text().splitlines()]
    golden = CAPTURES / f"{name}.events"
    expected = [] if _MAKE_ANEW else golden.read_text().splitlines()
    async with play_to_driver(lines) as events:
        with contextlib.suppress(TimeoutError):
            await events.until(lambda: expected and told(events) == expected, 2.0 if _MAKE_ANEW else 10.0)
        assert LinkState.ONLINE in events.states
    if _MAKE_ANEW:
        golden.write_text("".join(f"{line}\n" for line in told(events)))
    else:
        assert told(events) == expected
