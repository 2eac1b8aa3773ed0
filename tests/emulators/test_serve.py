"""`borderflow-sim serve` as a process: its first line, its endpoints, faults by control, a clean end."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.client import ModbusClient

SCENARIO = """
seed = 3
start = 2026-11-24T13:00:00Z
[site]
country = "CA"
port = "0001"
[[point]]
name = "approach"
x_m = 0.0
[[point]]
name = "wim"
x_m = 30.0
[[point]]
name = "booth"
x_m = 60.0
[[point]]
name = "exit"
x_m = 80.0
[[lane]]
id = "C01"
[lane.flow]
per_hour = [600]
[lane.wim]
sample_rate_hz = 1000.0
layout = { lines_x_m = [0.0, 1.0, 3.0], loop_x_m = 2.0 }
[[device]]
name = "daq"
kind = "labjack_t7"
endpoint = "tcp"
lane = "C01"
point = "wim"
[[device]]
name = "io"
kind = "moxa_e1200"
endpoint = "tcp"
inputs = [{ name = "loop", signal = "loop", lane = "C01" }]
[[device]]
name = "rfid"
kind = "transcore_encompass"
endpoint = "pty"
lane = "C01"
point = "booth"
"""


class Served:
    """A running simulator."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        path = folder / "scenario.toml"
        path.write_text(SCENARIO)
        command = [sys.executable, "-m", "firmware_sim.cli", "serve", "--scenario", str(path), "--control", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def url(self, device: str) -> str:
        return str(self.ready["devices"][device]["url"])

    def order(self, **table: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(table) + "\n")
        self.process.stdin.flush()

    def told(self, wanted: Callable[[dict[str, Any]], bool], within_s: float = 20.0) -> dict[str, Any]:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            line = self.lines.get(timeout=within_s)
            if wanted(line):
                return line
        raise AssertionError("not told")

    def turn(self, fault: str, state: str) -> dict[str, Any]:
        return self.told(lambda line: line["kind"] == "fault" and line["fault"] == fault and line["state"] == state)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.process.kill()
    served.process.wait()


def read_line(fd: int, end: bytes, within_s: float = 10.0) -> bytes:
    data, until = b"", time.monotonic() + within_s
    while not data.endswith(end):
        assert time.monotonic() < until, data
        if select.select([fd], [], [], 0.2)[0]:
            data += os.read(fd, 200)
    return data


def modbus(served: Served) -> ModbusClient:
    return ModbusClient("127.0.0.1", int(served.url("io").rpartition(":")[2]), timeout=2)


def test_devices_answer_and_sigterm_ends_it(served: Served) -> None:
    assert served.ready["ready"] is True
    assert served.ready["config"] is None
    assert set(served.ready["devices"]) == {"daq", "io", "rfid"}
    assert served.ready["time_origin"].endswith("Z")
    assert modbus(served).read_discrete_inputs(0, 1) is not None
    with socket.create_connection(("127.0.0.1", served.ready["devices"]["daq"]["options"]["stream_port"]), 5):
        pass
    path = served.url("rfid").removeprefix("serial://").partition("?")[0]
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    time.sleep(0.2)  # until the simulator has noticed
    os.write(line, b"#01\r#522\r")
    assert read_line(line, b"D0\r\n") == b"#Done\r\n#MAIN B5 S0 P0 D0\r\n"
    os.close(line)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(10) == 0
    assert not Path(path).exists()


def test_faults_by_control(served: Served) -> None:
    client = modbus(served)
    served.order(fault="unplugged", device="io", for_s=1.0)
    served.turn("unplugged", "begin")
    assert client.read_discrete_inputs(0, 1) is None
    served.turn("unplugged", "end")
    assert client.read_discrete_inputs(0, 1) is not None
    served.order(fault="reboot", device="io", for_s=0.5)
    served.order(fault="exception", device="io", for_s=2.0, code=6)  # both in one read of the simulator
    served.turn("exception", "begin")
    served.turn("reboot", "end")
    client.close()
    assert client.read_discrete_inputs(0, 1) is None
    assert client.last_except == 6
    served.turn("exception", "end")
    served.order(fault="no such thing", device="io", for_s=1.0)
    error = served.told(lambda line: line["kind"] == "error")
    assert "unplugged" in error["text"]
    for wrong in ({"for_s": -1}, {"for_s": float("inf")}, {"rate": 3}):
        served.order(**({"fault": "bit_flips", "device": "io", "for_s": 1.0} | wrong))
        assert next(iter(wrong)) in served.told(lambda line: line["kind"] == "error")["text"]
    served.order(fault="dead_channel", device="daq", for_s=1.0, channel=7)
    assert "has 7" in served.told(lambda line: line["kind"] == "error")["text"]
    served.order(fault="loop_stuck_on", device="io", for_s=5.0, input="loop")
    served.turn("loop_stuck_on", "begin")
    time.sleep(0.1)
    assert client.read_discrete_inputs(0, 1) == [True]


def test_a_pty_comes_back_under_its_name(served: Served) -> None:
    path = served.url("rfid").removeprefix("serial://").partition("?")[0]
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    served.order(fault="unplugged", device="rfid", for_s=0.5)
    served.turn("unplugged", "begin")
    assert not Path(path).exists()
    with pytest.raises(OSError, match="Input/output error"):
        os.write(line, b"x")
    os.close(line)
    served.turn("unplugged", "end")
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    time.sleep(0.2)
    served.order(fault="reboot", device="rfid", for_s=0.1)
    assert read_line(line, b"\r\n") == b"#Model E4 Series Ver 1.20 SN08001P\r\n"
    served.order(fault="phantom_tag", device="rfid", for_s=0, tag="GHOST 1")
    assert read_line(line, b"\r\n") == b"#GHOST 1\r\n"
    os.close(line)


def test_truth_goes_to_a_file_and_time_ends_it(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    served = Served(tmp_path, "--for", "20", "--speed", "10", "--truth", str(truth), "--seed", "9")
    assert served.process.wait(30) == 0
    kinds = {json.loads(line)["kind"] for line in truth.read_text().splitlines()}
    assert "point" in kinds


def test_bad_orders_name_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "firmware_sim.cli", "serve", "--scenario", str(path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    wrong = run("--bind", "nobody=pty")
    assert wrong.returncode == 1
    assert "nobody" in wrong.stderr
    wrong = run("--bind", "daq=pty")
    assert wrong.returncode == 1
    assert "2 TCP ports" in wrong.stderr
    wrong = run("--bind", "io=carrier-pigeon://x")
    assert wrong.returncode == 1
    assert "tcp://HOST:PORT" in wrong.stderr
    path.write_text(SCENARIO + '[[fault]]\nat_s = 1\nfor_s = 1\nkind = "overrun"\ndevice = "io"\n')
    wrong = run()
    assert wrong.returncode == 1
    assert "'overrun'" in wrong.stderr
