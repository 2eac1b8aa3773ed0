"""A full disk under the whole daemon: it is told while it lasts, by the status and an alarm that need no journal; a
broker that comes back meanwhile is no double; work goes on soon after there is room."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, wait_for
from mosquitto import MOSQUITTO, Mosquitto, free_port
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from samples import mixed, vehicle
from site_text import device_tables, lane_tables, store_tables, table

from edge.delivery.entry import JournalError
from edge.delivery.identity import new_key
from edge.delivery.journal import Journal

CONFIG = (
    lane_tables(site={"timezone": "America/Toronto", "source": "edge-1"})
    + device_tables("lpr", "lpr_frame", "tcp://127.0.0.1:{device}", point="approach")
    + store_tables(key="{key}")
    + table("[[collector]]", name="national", url="mqtt://127.0.0.1:{broker}")
    + "protocol = {protocol}\n"
)


@pytest.fixture(scope="module")
def faulty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    library = tmp_path_factory.mktemp("disk") / "faulty_disk.so"
    source = Path(__file__).parent / "faulty_disk.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


class Eye:
    """All that reaches the broker, taken up again when that comes back."""

    def __init__(self, port: int) -> None:
        self.messages: list[dict[str, Any]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="eye", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("borderflow/#", qos=1)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.messages.append(json.loads(message.payload))

    def statuses(self, since: int = 0) -> list[dict[str, Any]]:
        return [message for message in self.messages[since:] if message["schema"] == "borderflow/status/1"]

    def alarms(self) -> list[tuple[str, str]]:
        return [(m["code"], m["state"]) for m in self.messages if m["schema"] == "borderflow/alarm/1"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def computer(tmp_path: Path, broker: Mosquitto, library: Path, protocol: int) -> Iterator[tuple[Daemon, Path]]:
    """A daemon with one device, that is not there: it makes an alarm; its disk fails while the file says so."""
    key, config, switch = tmp_path / "identity.key", tmp_path / "lane.toml", tmp_path / "fault"
    new_key(key)
    config.write_text(
        CONFIG.format(device=free_port(), key=key, store=tmp_path / "store", broker=broker.port, protocol=protocol)
    )
    daemon = Daemon(config)
    os.environ |= {"LD_PRELOAD": str(library), "FAULT_FILE": str(switch)}
    try:
        daemon.start()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["FAULT_FILE"]
    try:
        yield daemon, switch
    finally:
        daemon.kill()


def soon(what: str, condition: Callable[[], Any], within_s: float) -> float:
    began_s = time.monotonic()
    wait_for(what, condition, within_s)
    return time.monotonic() - began_s


@pytest.mark.timeout(180)
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("protocol", [5, 4])
def test_a_full_disk_is_told_while_it_lasts(
    tmp_path: Path, broker: Mosquitto, faulty_disk: Path, protocol: int
) -> None:
    eye = Eye(broker.port)
    with computer(tmp_path, broker, faulty_disk, protocol) as (daemon, switch):
        wait_for("the first status", lambda: eye.statuses(), 20)
        wait_for("the alarm of the device", lambda: ("device_down", "begin") in eye.alarms(), 20)
        switch.write_text("full")
        wait_for("the alarm", lambda: ("journal_refused", "begin") in eye.alarms(), 45)
        text = next(m["text"] for m in eye.messages if m.get("code") == "journal_refused")
        assert "the disk is full" in text
        wait_for("the status", lambda: eye.statuses()[-1]["cause"] == "disk_full", 40)
        assert eye.statuses()[-1]["online"] is True
        assert eye.statuses()[-1]["seq"] == 0  # outside the count
        for _ in range(4):  # as many as once ended in a false alarm
            broker.kill()
            broker.start()
            since = len(eye.messages)
            wait_for("a status after it came back", lambda s=since: eye.statuses(s), 20)
        assert not any(code == "duplicate_identity" for code, _ in eye.alarms())
        since = len(eye.messages)
        switch.unlink()
        took_s = soon("work goes on", lambda: any(m["seq"] > 0 for m in eye.messages[since:]), 10)
        assert took_s < 5.0
        wait_for("a good status", lambda: eye.statuses()[-1]["cause"] is None, 40)
        assert daemon.stop() == 0
    eye.close()
    assert "duplicate_identity" not in daemon.log()
    assert daemon.log().count("cursors cannot be stored") <= 4
    journal = Journal(tmp_path / "store" / "journal.db", 50_000_000, time.time_ns)
    last = journal.heads()["borderflow/v1/CA/0453/edge-1/_/alarm"][1]
    stored = journal.replay("borderflow/v1/CA/0453/edge-1/_/alarm", journal.epoch, 1, last)
    assert [entry.seq for entry in stored] == list(range(1, last + 1))
    assert any(b'"journal_refused"' in entry.body for entry in stored)  # it came again, with its number
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MB, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take what room there is."""
    handle = os.open(place / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(handle, bytes(4096))
    os.close(handle)
    return place / "filler"


def test_a_disk_that_is_really_full_is_named_and_waited_for(small_disk: Path) -> None:
    path = small_disk / "store" / "journal.db"
    journal = Journal(path, 100_000_000, time.time_ns)
    journal.register("a", ("vehicle",))
    journal.append([vehicle()])
    filler = fill(small_disk)
    with pytest.raises(JournalError, match="the disk is full") as refused:
        journal.append(mixed(2000))
    assert refused.value.cause == "disk_full"
    filler.unlink()
    assert journal.append([vehicle("C09")])[0].seq == 1
    journal.close()
    filler = fill(small_disk)
    with pytest.raises(JournalError, match="the disk is full") as refused:
        Journal(path, 100_000_000, time.time_ns)
    assert refused.value.cause == "disk_full"  # the daemon ends with 73, and is started again until there is room
    filler.unlink()
    Journal(path, 100_000_000, time.time_ns).close()
