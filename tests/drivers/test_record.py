"""What `borderflow record` wrote of a device is a capture: played to the driver it gives what the device said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from capture_player import play_to_driver, told
from driver_peers import pty

FRAME = bytes.fromhex("02 2A 30 20 30 31 38 32 35 30 30 30 30 30 30 30 0D 27")  # 18250 kg, standing still
CONFIG = """
[site]
country = "CA"
port = "0001"
[[lane]]
id = "C01"
traffic = "commercial"
[[point]]
name = "approach"
[[point]]
name = "booth"
[[device]]
name = "scale"
driver = "toledo_continuous"
url = "serial://{path}?baud=9600"
options = {{ per_count = 10.0 }}
"""


async def test_a_recording_plays_to_the_driver_as_a_capture(tmp_path: Path) -> None:
    with pty() as line:
        config = tmp_path / "borderflow.toml"
        config.write_text(CONFIG.format(path=line.path))
        command = ("-m", "edge", "record", "--config", str(config), "--out", str(tmp_path / "out"), "--for", "4")
        recorder = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.PIPE)
        while recorder.returncode is None:
            line.send(FRAME)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(recorder.wait(), 0.2)
        assert recorder.stderr is not None
        assert recorder.returncode == 0, (await recorder.stderr.read()).decode()
    (file,) = (tmp_path / "out").glob("*.bytes.jsonl")
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    capture = [entry for entry in lines if entry["device"] == "scale"]
    assert capture[0]["header"]["options"] == {"per_count": 10.0}
    frames = bytes.fromhex("".join(entry.get("rx", "") for entry in capture)).count(FRAME)
    assert frames > 2
    async with play_to_driver(capture) as events:
        await events.until(lambda: f"scan 1:{frames - 1} [1825]" in told(events))
    assert "measurement gross 18250 _kg" in told(events)
