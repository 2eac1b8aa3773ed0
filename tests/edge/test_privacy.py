"""No plate and no tag in anything that is left behind: journal, logs, error texts, recordings, MQTT.

The simulated crossing runs through the real code, with hostile bytes on the readers' lines; then everything that the
software wrote is searched for every identity of the truth. The simulator's own files are not: it is the world.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bench import Daemon, Simulator, wait_for
from hypothesis import given
from hypothesis import strategies as st
from leftovers import files_below, found_in, spellings
from mosquitto import MOSQUITTO, Mosquitto
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from served import ask as ask_page
from served import served

from drivers.events import Event, PlateRead, TagRead
from drivers.lpr_frame import LprOptions, TextCodec
from drivers.transcore_encompass import TransCoreCodec
from edge.cli import main as borderflow
from edge.config.file import load
from edge.crossing import Crossing
from edge.delivery.identity import Pseudonyms, new_key
from edge.delivery.journal import Journal
from edge.eyes.client import ask as ask_daemon
from edge.eyes.client import find
from edge.eyes.place import connect
from edge.messages import Message
from edge.page.app import Page
from edge.page.feed import Feed
from edge.waiting.sightings import SightingError, parse
from edge.web.guard import Guard
from firmware_sim.cli import main as simulate


def test_the_search_finds_what_it_looks_for() -> None:
    for spelling in (b"ab12345", b"41423132333435", b"QUIxMjM0N", b"A\0B\0", b"AB-12345"):
        assert any(spelling in found for found in spellings("AB 12345")), spelling
    assert found_in({"log": b"plate [65, 66, 49, 50, 51, 52, 53]"}, ["AB12345"])
    assert found_in({"log": b'{"p":"eHhBQjEyMzQ1eA=="}'}, ["AB12345"])  # base64 of xxAB12345x
    assert found_in({"log": b"95b3d1bbcd2ff80bd9fbb8ee5dcd8ba1"}, ["AB12345"]) == []
    assert not found_in({"log": b"plate AB12346"}, ["AB12345"])


# ---- the daemon, as a process ------------------------------------------------------------------------------------


class Listener:
    """Keeps every payload and topic that a broker carries."""

    def __init__(self, port: int) -> None:
        self.bytes = bytearray()
        self.topics: set[str] = set()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = self._take
        self._port = port

    def __enter__(self) -> Listener:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.bytes += message.topic.encode() + b"\n" + bytes(message.payload) + b"\n"
        self.topics.add(message.topic)


def _spoil(simulator: Simulator, stop: threading.Event) -> None:
    """Faults on the lines of all readers, one after the other, and all the time."""
    readers = ["tag-c02-approach", "tag-c02-booth", "lpr-c01-approach", "lpr-c01-booth", "lpr-c02-approach"]
    kinds = ["bit_flips", "garbage", "merged_frames", "cut_frames", "doubled_frames", "wrong_baud"]
    random = Random(5)
    while not stop.wait(0.7):
        simulator.tell(fault=random.choice(kinds), device=random.choice(readers), for_s=1.0)


@pytest.mark.hil
@pytest.mark.timeout(280)
def test_a_noisy_crossing_leaves_no_identity_behind(tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    mine, world, carried = tmp_path / "mine", tmp_path / "world", tmp_path / "broker"
    for directory in (mine, world, carried):
        directory.mkdir()
    broker = Mosquitto(carried)
    broker.start()
    simulator = Simulator(world, "fast-and-standard")
    text = simulator.config.read_text()
    config = mine / "borderflow.toml"
    key, store = mine / "identity.key", mine / "store"
    new_key(key)
    text = _with(text, "key_file", str(key))
    text = _with(text, "path", str(store))
    config.write_text(
        f'{text}\n[[collector]]\nname = "national"\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
        'share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n'
        f'[site_exchange]\nrole = "send"\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
    )
    daemon = Daemon(config)
    stop = threading.Event()
    spoiler = threading.Thread(target=_spoil, args=(simulator, stop))
    try:
        with Listener(broker.port) as listener:
            _start_verbose(daemon, config)
            spoiler.start()
            wait_for(
                "sightings, vehicles and the site's exchange",
                lambda: all(
                    listener.bytes.count(kind) >= 3 for kind in (b"/sighting\n", b"/vehicle\n", b"/exchange\n")
                ),
                120,
            )
            time.sleep(10)
            assert daemon.process is not None
            limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 ", limits, re.M)
            looked = _looked_at(config, mine)
            daemon.kill()  # so that the write-ahead log stays as it is
            left = files_below(mine, carried)
            recorded = subprocess.run(
                [
                    *(sys.executable, "-m", "edge", "record", "--config", str(config)),
                    *("--out", str(mine / "recording"), "--for", "8"),
                ],
                capture_output=True,
                timeout=60,
            )
    finally:
        stop.set()
        spoiler.join(5)
        simulator.stop()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        broker.kill()
    left |= looked | files_below(mine) | {"record": recorded.stdout + recorded.stderr, "mqtt": bytes(listener.bytes)}
    identities = _identities(simulator.truth)
    assert len(identities) >= 10
    assert any(name.endswith("-wal") and blob for name, blob in left.items())
    assert any(name.endswith(".sigmf-data") for name in left)
    assert any(b"rx" in blob for name, blob in left.items() if name.endswith(".bytes.jsonl"))
    assert not found_in(left, identities)


def _looked_at(config: Path, directory: Path) -> dict[str, bytes]:
    """All that those see who look at the running daemon: socket, status, page, metrics, and a supporter's bundle."""
    path, _ = find(config)
    left = {"socket": json.dumps(ask_daemon(path, {"ask": "state"})).encode()}
    with connect(path, 20.0) as channel, channel.makefile("rb") as frames:
        channel.sendall(b'{"ask": "scope", "lane": "C01"}\n')
        left["scope"] = b"".join(frames.readline() for _ in range(50))
    with served(Guard(Page(Feed(config)).app())) as port:
        for page in ("/", "/lane/C01?lang=fr", "/api/v1/state", "/metrics"):
            status, _, left[f"page {page}"] = ask_page(port, page)
            assert status == 200
    bundle = directory / "bundle.tar.gz"
    log = str(config.with_name("daemon.log"))
    assert borderflow(["bundle", str(bundle), "--config", str(config), "--log", log]) == 0
    left["bundle"] = gzip.decompress(bundle.read_bytes())
    assert b"state.json" in left["bundle"]
    assert len(json.loads(left["socket"])["vehicles"]) >= 3
    assert b"pseudonym" not in left["socket"]
    return left


def _start_verbose(daemon: Daemon, config: Path) -> None:
    with daemon.log_path.open("ab") as log:
        daemon.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "edge", "run", "--verbose", "--config", str(config)],
            stdout=log,
            stderr=log,
        )


def _with(text: str, key: str, value: str) -> str:
    """The configuration with another value of a key that stands in it once."""
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines) if line.split("=")[0].strip() == key]
    assert len(at) == 1, (key, at)
    lines[at[0]] = f"{key} = {json.dumps(value)}"
    return "\n".join(lines) + "\n"


def _identities(truth: list[dict[str, Any]]) -> set[str]:
    """Plates and tags as they are, and as they were read."""
    found = {line.get(key) for line in truth for key in ("tag", "plate", "id")}
    return {str(identity) for identity in found if identity}


# ---- an hour of reads, in this process ---------------------------------------------------------------------------


READERS = "".join(
    f'\n[[device]]\nname = "{name}-{point}"\ndriver = "{driver}"\nurl = "tcp://127.0.0.1:1"\n'
    f'lane = "{lane}"\npoint = "{point}"\n'
    for name, driver, lane in (("lpr-c01", "lpr_frame", "C01"), ("tag-c02", "transcore_encompass", "C02"))
    for point in ("approach", "booth")
)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of sightings, with its configuration."""
    out = tmp_path_factory.mktemp("hour") / "rec"
    assert simulate(
        ["record", "--scenario", "fast-and-standard", "--out", str(out), "--for", "3600", "--no-waveforms"]
    ) in (0, None)
    return out


def test_an_hour_of_reads_leaves_only_pseudonyms(hour: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Frames of readers, every fifth spoilt, through codecs, crossing and journal; everything is logged."""
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "borderflow.toml"
    file.write_text((hour / "borderflow.toml").read_text() + READERS)
    config = load(file)
    key = tmp_path / "identity.key"
    new_key(key)
    crossing = Crossing(config, source="lane-1", pseudonyms=Pseudonyms(key))
    store = tmp_path / "store"
    store.mkdir()
    journal = Journal(store / "journal.db", 200_000_000, time.time_ns)
    journal.register("national", ("vehicle", "sighting", "wait", "flow", "status", "alarm"))
    lines = [json.loads(line) for line in (hour / "sightings.jsonl").read_text().splitlines()]
    identities = _identities(lines)
    assert len(identities) > 200
    sightings = 0
    said: list[str] = []
    made: list[Message] = []
    for events in _frames(lines, Random(3)):
        for event in events:
            said.append(repr(event))
            messages = crossing.event(event)
            sightings += len(messages)
            made += [*messages, *crossing.advance(event.time_ns)]
        if len(made) > 40:
            journal.append(made)
            made = []
    journal.append(made)
    assert sightings > 250
    left = files_below(store)
    assert any(name.endswith("-wal") for name in left)
    journal.close()
    left |= files_below(store) | {"log": caplog.text.encode(), "repr": "\n".join(said).encode()}
    assert not found_in(left, identities)


def _frames(lines: list[dict[str, Any]], random: Random) -> Iterator[list[Event]]:
    """The events of what two makes of reader send for each sighting, damaged now and then."""
    plates = {point: TextCodec(f"lpr-c01-{point}", LprOptions(preset="axxonsoft")) for point in ("approach", "booth")}
    tags = {point: TransCoreCodec(f"tag-c02-{point}") for point in ("approach", "booth")}
    start_ns = 1_780_000_000_000_000_000
    for number, line in enumerate(lines):
        if line["medium"] not in ("plate", "rfid") or line["point"] not in plates:
            continue
        time_ns = start_ns + number * 1_000_000_000
        codec: Any
        if line["medium"] == "plate":
            frame = b"\x02" + b"24.11.2026 05:22" + line["id"].encode() + b"\x03"
            codec = plates[line["point"]]
        else:
            frame = b"#" + line["id"].encode() + b"&05\r"
            codec = tags[line["point"]]
        if random.random() < 0.2:
            at = random.randrange(len(frame))
            frame = frame[:at] + bytes([random.randrange(256)]) + frame[at + random.randrange(3) :]
        yield [event for event in codec.feed(frame, time_ns) if isinstance(event, Event)]


# ---- bad files ---------------------------------------------------------------------------------------------------

SECRET = "QX7KW942"
GOOD: dict[str, Any] = {
    "time": "2026-11-24T05:22:17Z",
    "lane": "C01",
    "point": "approach",
    "medium": "plate",
    "id": SECRET,
    "confidence": 0.9,
}


def _bad_lines() -> list[str]:
    lines = [json.dumps(GOOD | {key: SECRET}) for key in GOOD if key != "id"]  # columns shifted
    lines += [json.dumps(GOOD | {key: [SECRET]}) for key in GOOD]
    lines += [json.dumps(GOOD | {"medium": medium, "axles": SECRET, "open": SECRET}) for medium in ("axles", "booth")]
    lines += [json.dumps(GOOD | {"id": SECRET * 20}), json.dumps(GOOD)[:-9], json.dumps(GOOD) + SECRET, SECRET]
    lines += [json.dumps({SECRET: 1}), json.dumps([SECRET]), json.dumps(SECRET), f'{{"time": {SECRET}}}']
    lines += [
        json.dumps(GOOD | {"axles": [{"position_m": SECRET, SECRET: 1}]}),
        json.dumps(GOOD | {"booth": {SECRET: 1}}),
    ]
    return lines


@pytest.mark.parametrize("only_bad", [True, False])
def test_bad_sightings_are_named_without_what_stands_in_them(
    only_bad: bool, hour: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sightings.jsonl"
    good = [] if only_bad else [json.dumps(GOOD | {"id": f"{SECRET}{number}"}) for number in range(30)]
    file.write_text("\n".join(_bad_lines() + good) + "\n")
    code = borderflow(["wait", "--config", str(hour / "borderflow.toml"), str(file)])
    out, err = capfd.readouterr()
    assert f"{file}: line 1: " in err
    assert code in (0, 65)
    assert not found_in({"stdout": out.encode(), "stderr": err.encode()}, [SECRET])


@given(st.text(min_size=1, max_size=30), st.sampled_from([*GOOD, "axles", "open", "program", "booth", "other"]))
def test_a_complaint_never_repeats_a_value(value: str, key: str) -> None:
    """Whatever is in whichever field: the text is made of our words."""
    marked = f"{SECRET}{value}"
    for line in (GOOD | {key: marked}, GOOD | {key: {marked: 1}}, GOOD | {key: [marked]}, {marked: GOOD}):
        assert SECRET not in _said_of(json.dumps(line).encode(), plate_given=key == "id")


def _said_of(line: bytes, *, plate_given: bool) -> str:
    try:
        sighting = parse(line)
    except SightingError as error:
        return str(error)
    return repr(sighting) if plate_given else ""  # a plate in the place of a lane is a lane, and its name is shown


@given(st.binary(max_size=60))
def test_events_of_hostile_frames_hide_what_was_read(noise: bytes) -> None:
    frames = {
        TextCodec("lpr", LprOptions(preset="axxonsoft")): b"\x02" + b"24.11.2026 05:22" + SECRET.encode() + b"\x03",
        TransCoreCodec("tag"): b"#" + SECRET.encode() + b"&05\r",
    }
    for codec, frame in frames.items():
        for data in (noise + frame, frame + noise, frame[:-1] + noise + frame[-1:]):
            for event in codec.feed(data, 0):
                if isinstance(event, PlateRead | TagRead):
                    assert SECRET not in repr(event)
