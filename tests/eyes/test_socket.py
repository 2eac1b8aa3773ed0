"""The daemon's socket: who may ask, what is told, and what it costs where nobody looks or nobody reads."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import wait_for
from eyes_bench import EyesBench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.events import LinkState
from edge.eyes.client import NoDaemon, ask, find
from edge.eyes.place import NAME, connect, listen, served_at
from edge.eyes.server import QUESTION_MOST


def test_the_state_says_how_everything_is(bench: EyesBench) -> None:
    bench.device("daq", LinkState.ONLINE, "in order")
    bench.device("tag", LinkState.DOWN, "no answer")
    bench.pass_truck()
    path, state = find(bench.config_path)
    assert path == bench.path
    assert state["devices"]["daq"]["state"] == "online"
    assert state["devices"]["tag"] | {"age_s": 0} == {
        "driver": "transcore_encompass", "lane": "C03", "point": "approach", "state": "down", "rejected": {},
        "since": state["devices"]["tag"]["since"], "text": "no answer", "age_s": 0,
    }  # fmt: skip
    (alarm,) = state["alarms"]
    assert (alarm["code"], alarm["severity"], alarm["args"]["reason"]) == ("device_down", "critical", "no answer")
    assert 0 <= alarm["age_s"] < 60
    (lane,) = state["lanes"]
    assert (lane["id"], lane["vehicles"], lane["occupied"]) == ("C03", 1, False)
    assert [sensor["footprints"] for sensor in lane["sensors"]] == [2, 2, 2, 2, 0]
    assert state["vehicles"][0]["gross_kg"] == pytest.approx(16_000, rel=0.02)
    assert state["collectors"]["national"]["backlog"] == 7
    assert state["disk"]["free_bytes"] > 0
    assert state["disk"]["journal_bytes"] > 0
    assert state["process"]["pid"] == os.getpid()


def test_owner_and_group_may_ask_and_nobody_else(bench: EyesBench) -> None:
    mode = bench.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_a_status_is_made_when_somebody_asks_and_for_all_of_them_together(bench: EyesBench) -> None:
    time.sleep(0.1)
    assert bench.statuses == 0
    assert bench.crossing.scope is None
    for _ in range(20):
        ask(bench.path, {"ask": "state"})
    assert bench.statuses <= 2


def test_a_dead_daemons_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    listen(tmp_path / NAME).close()
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path / NAME, 1.0)
    fresh = listen(tmp_path / NAME)
    connect(tmp_path / NAME, 1.0).close()
    fresh.close()
    (tmp_path / "other").write_text("mine")
    with pytest.raises(FileExistsError):
        listen(tmp_path / "other")
    assert (tmp_path / "other").read_text() == "mine"


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / NAME
    listener = listen(deep)
    connect(deep, 1.0).close()
    listener.close()


def test_where_it_is_served() -> None:
    assert served_at("/var/lib/borderflow", {}) == Path("/var/lib/borderflow/eyes.sock")
    assert served_at("/s", {"RUNTIME_DIRECTORY": "/run/borderflow:/run/x"}) == Path("/run/borderflow/eyes.sock")


def test_no_daemon_is_said_with_a_remedy(tmp_path: Path) -> None:
    config = tmp_path / "lane.toml"
    config.write_text(f'[store]\npath = "{tmp_path}"\n')
    with pytest.raises(NoDaemon, match="systemctl start borderflow"):
        find(config)


# ---- the scope ---------------------------------------------------------------------------------------------------


def look(bench: EyesBench, lane: str = "C03") -> socket.socket:
    channel = connect(bench.path, 10.0)
    channel.sendall(json.dumps({"ask": "scope", "lane": lane}).encode() + b"\n")
    return channel


def frames(channel: socket.socket, count: int) -> list[dict[str, Any]]:
    stream = channel.makefile("rb")
    return [json.loads(stream.readline()) for _ in range(count)]


def test_who_looks_gets_samples_channels_and_what_was_weighed(bench: EyesBench) -> None:
    with look(bench) as channel:
        wait_for("the scope", lambda: bench.crossing.scope is not None, 5)
        bench.pass_truck()
        found = frames(channel, 3)
    weighed, channels, samples = found
    assert [frame["kind"] for frame in found] == ["weighed", "channels", "samples"]
    counts = np.frombuffer(base64.b64decode(samples["samples"]), "<i2").reshape(-1, samples["channels"])
    assert (samples["scan"], counts.shape) == (0, (5200, 5))
    assert channels["channels"][2]["name"] == "line2-left"
    assert weighed["axles"][1]["position_m"] == pytest.approx(4.0, abs=0.02)
    assert weighed["first_axle_scan"] == pytest.approx(1000, abs=5)  # the scan at which the counts peak
    assert 900 < counts[:1500, 0].argmax() < 1100
    wait_for("the end of the scope", lambda: bench.crossing.scope is None, 5)


def test_a_lane_that_is_not_weighed_is_named(bench: EyesBench) -> None:
    with look(bench, "C99") as channel:
        (said,) = frames(channel, 1)
    assert said == {"error": "no lane 'C99' is weighed here; there are C03"}
    assert bench.crossing.scope is None


def test_who_does_not_read_costs_a_bounded_buffer_and_is_told_what_was_dropped(bench: EyesBench) -> None:
    with look(bench) as lazy, look(bench) as eager:
        wait_for("both", lambda: len(bench.scopes._lookers) == 2, 5)
        eager.settimeout(10)
        stream = eager.makefile("rb")
        block = np.zeros((8000, 5), np.int16)
        seen = 0
        for _ in range(60):  # 107 kB each; the kernel's and our buffer are full after a few
            bench.samples(block)
            while json.loads(stream.readline())["kind"] != "samples":
                pass
            seen += 1
        assert seen == 60
        late = lazy.makefile("rb")
        told = came = 0
        while told + came < 120:  # a frame of the channels goes with each
            line = json.loads(late.readline())
            told, came = told + line.get("dropped", 0), came + 1
            bench.on_loop(lambda: None)
            if told + came > 100:
                bench.samples(block)
        assert told > 30


# ---- hostile clients ---------------------------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=200) | st.just(b"[" * 3000) | st.just(b"x" * (QUESTION_MOST * 3)))
def test_any_bytes_are_answered_or_let_go(bench: EyesBench, line: bytes) -> None:
    with connect(bench.path, 10.0) as channel:
        channel.sendall(line + b"\n")
        channel.shutdown(socket.SHUT_WR)
        with channel.makefile("rb") as stream:
            try:
                answers = stream.readlines()
            except ConnectionResetError:
                answers = []
    assert all(isinstance(json.loads(answer), dict) for answer in answers)


def test_clients_without_end_do_not_shut_others_out_for_ever(bench: EyesBench) -> None:
    crowd = [connect(bench.path, 5.0) for _ in range(40)]
    try:
        wait_for("refusals", lambda: bench.eyes.refused >= 8, 5)
    finally:
        for channel in crowd:
            channel.close()
    wait_for("room", lambda: len(bench.eyes._clients) == 0, 5)
    assert ask(bench.path, {"ask": "state"})["source"] == "lane-3"
    assert "error" in json.dumps(_refused(bench))


def _refused(bench: EyesBench) -> str:
    with pytest.raises(ValueError, match="ask") as caught:
        ask(bench.path, {"ask": "nonsense"})
    return f"error: {caught.value}"
