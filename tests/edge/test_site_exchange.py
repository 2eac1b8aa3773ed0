"""Tokens between computers: they agree as plates in clear do, tell nothing without the key, and survive the wire."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exchange_day as day
import msgspec
import pytest
from certificates import Authority
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mosquitto import MOSQUITTO, Mosquitto
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.events import InputChange, PlateRead, TagRead
from edge import config as cfg
from edge.config.file import load
from edge.core import PlateTable, compare_tokens, encode_plate
from edge.crossing import Crossing
from edge.delivery.endpoint import LinkError
from edge.delivery.identity import Pseudonyms, new_key
from edge.delivery.outgoing import Outgoing
from edge.exchange import link as exchange_link
from edge.exchange import tokens as site_exchange
from edge.exchange.codec import (
    MOST_RECORDS,
    Exchange,
    ExchangeReader,
    ExchangeWriter,
    local_sightings,
    record_of,
    sightings_of,
)
from edge.exchange.link import SiteExchange
from edge.exchange.tokens import OVERLAP_NS, ExchangeKeys, PlateTokens
from edge.messages import Wait
from edge.waiting.sightings import (
    AxleSighting,
    BoothChange,
    LoopCount,
    PlateSighting,
    Sighting,
    TagSighting,
    TokenSighting,
)

ACL = Path(__file__).parents[2] / "deploy" / "mosquitto" / "acl"
HOUR_NS = 3600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
NOON_NS = 20_000 * DAY_NS + 12 * HOUR_NS
TOPIC = "borderflow-site/v1/CA/0453/lane-1/exchange"
KEYS = ExchangeKeys(b"\x01" * 32, DAY_NS)

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
plates = st.text(CHARACTERS, min_size=5, max_size=8)
times = st.integers(0, 40_000 * DAY_NS)


def tokens(plate: str, time_ns: int = NOON_NS, keys: ExchangeKeys = KEYS) -> PlateTokens:
    return keys.plate(plate, time_ns)[0]


def compare(row: PlateTokens, query: PlateTokens) -> float | None:
    return compare_tokens(row.data, query.data)


def numbers() -> Callable[[int], bytes]:
    count = iter(range(1 << 30))
    return lambda n: next(count).to_bytes(n, "big")


# ---- tokens ------------------------------------------------------------------------------------------------------


@given(plates, times)
def test_one_plate_agrees_with_itself_however_it_is_written(plate: str, time_ns: int) -> None:
    spelled = f"{plate[:3]}-{plate[3:]} ".lower()
    assert tokens(plate, time_ns) == tokens(spelled, time_ns)
    score = compare(tokens(plate, time_ns), tokens(spelled, time_ns))
    assert score is not None
    assert score > 3.0


@given(plates, st.data())
def test_one_misread_character_agrees_as_in_clear(plate: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plate) - 1))
    other = data.draw(st.sampled_from(CHARACTERS.replace(plate[at], "")))
    misread = plate[:at] + other + plate[at + 1 :]
    score = compare(tokens(plate), tokens(misread))
    assert score is not None
    clear = float(PlateTable().compare(encode_plate(misread), encode_plate(plate)[None])[0])
    assert abs(score - clear) < 3.5  # which of the look-alikes it is, a token does not tell; most for P and 9, 3.31


@given(plates, st.data())
def test_a_missing_character_agrees_as_in_clear(plate: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plate) - 1))
    shorter = plate[:at] + plate[at + 1 :]
    score = compare(tokens(plate), tokens(shorter))
    clear = float(PlateTable().compare(encode_plate(shorter), encode_plate(plate)[None])[0])
    assert score is not None
    assert score == pytest.approx(clear, abs=0.5)
    assert compare(tokens(shorter), tokens(plate)) == score


def test_confusions_agree_however_many_there_are() -> None:
    assert compare(tokens("ABC8150"), tokens("A8CB1SO")) is not None
    assert compare(tokens("ABC8150"), tokens("A8CB1SX")) is not None  # and one that is no confusion
    assert compare(tokens("ABC8150"), tokens("A8CB1S")) is not None  # and one missing


@given(plates, plates)
def test_plates_that_differ_more_do_not_agree(one: str, other: str) -> None:
    clear = float(PlateTable().compare(encode_plate(other), encode_plate(one)[None])[0])
    assume(clear < -8.0)
    score = compare(tokens(one), tokens(other))
    assert score is None or score < 0.0


@given(plates, times, times)
def test_nothing_is_equal_under_another_key_or_period(plate: str, one_ns: int, other_ns: int) -> None:
    def parts(keys: ExchangeKeys, time_ns: int) -> set[bytes]:
        packed = tokens(plate, time_ns, keys).packed
        return {packed[i : i + 8] for i in range(0, len(packed), 8)}

    assert not parts(KEYS, one_ns) & parts(ExchangeKeys(b"\x02" * 32, DAY_NS), one_ns)
    if one_ns // DAY_NS != other_ns // DAY_NS:
        assert not parts(KEYS, one_ns) & parts(KEYS, other_ns)
        assert compare(tokens(plate, one_ns), tokens(plate, other_ns)) is None


@given(plates, times, st.integers(0, OVERLAP_NS), st.sampled_from([HOUR_NS, 6 * HOUR_NS, DAY_NS, 7 * DAY_NS]))
def test_rotation_costs_no_match_within_the_longest_wait(plate: str, up_ns: int, wait_ns: int, period_ns: int) -> None:
    keys = ExchangeKeys(b"\x03" * 32, period_ns)
    up, down = keys.plate(plate, up_ns), keys.plate(plate, up_ns + wait_ns)
    assert any(a == b for a in up for b in down)
    assert set(keys.tag(plate, up_ns)) & set(keys.tag(plate, up_ns + wait_ns))


def test_after_the_overlap_a_plate_has_one_set_of_tokens() -> None:
    midnight = 20_000 * DAY_NS
    assert len(KEYS.plate("AB12345", midnight + OVERLAP_NS - 1)) == 2
    assert len(KEYS.plate("AB12345", midnight + OVERLAP_NS)) == 1
    assert KEYS.plate("", NOON_NS) == KEYS.plate("-? ", NOON_NS) == KEYS.tag(" ", NOON_NS) == ()


# ---- the wire ----------------------------------------------------------------------------------------------------

SEEN: list[Sighting] = [
    PlateSighting(NOON_NS, "C03", "approach", "AB 12345", 0.93),
    TagSighting(NOON_NS + 1, "C03", "approach", "E2801160600002083D9AF0E1", None),
    LoopCount(NOON_NS + 2, "C03", "approach"),
    AxleSighting(NOON_NS + 3, "C03", "wim", (0.0, 3.9, 5.2), (5400.0, 7300.0, 7100.0)),
    BoothChange(NOON_NS + 4, "C03", "booth", False, "FAST", "b1"),
]


def test_what_arrives_is_what_was_read_without_plate_and_tag() -> None:
    payload = ExchangeWriter(KEYS, TOPIC, numbers()).seal(SEEN, NOON_NS)
    opener = ExchangeReader(KEYS)
    plate, tag, *others = opener.open(TOPIC, payload, NOON_NS)
    assert others == SEEN[2:]
    assert isinstance(plate, TokenSighting)
    assert plate.tokens == KEYS.plate("AB12345", NOON_NS)
    assert (plate.time_ns, plate.lane, plate.point, plate.confidence) == (NOON_NS, "C03", "approach", 0.93)
    assert isinstance(tag, TagSighting)
    assert tag in local_sightings(SEEN[1], KEYS)
    opened = msgspec.json.encode([record_of(sighting, KEYS) for sighting in SEEN])
    for blob in (payload, opened, repr(plate).encode()):
        for identity in (b"AB 12345", b"AB12345", b"12345", b"E2801160", b"3D9AF0E1"):
            assert identity not in blob
    assert opener.open(TOPIC, payload, NOON_NS) == []  # sent again, by the broker or by somebody else
    assert opener.counters == {"exchange_repeated": 1}


def test_only_who_has_the_key_is_heard() -> None:
    payload = ExchangeWriter(KEYS, TOPIC, numbers()).seal(SEEN[:1], NOON_NS)
    outer = json.loads(payload)
    assert set(outer) == {"schema", "period", "sealed"}
    foreign = ExchangeWriter(ExchangeKeys(b"\x09" * 32, DAY_NS), TOPIC, numbers()).seal(SEEN[:1], NOON_NS)
    changed = msgspec.json.encode(
        Exchange(period=outer["period"], sealed=msgspec.json.decode(payload, type=Exchange).sealed[:-1] + b"\0\0")
    )
    opener = ExchangeReader(KEYS)
    assert opener.open(TOPIC, foreign, NOON_NS) == []
    assert opener.open(TOPIC, changed, NOON_NS) == []
    assert opener.open(TOPIC.replace("lane-1", "lane-2"), payload, NOON_NS) == []
    assert opener.counters == {"exchange_foreign": 3}
    assert opener.open(TOPIC, payload, NOON_NS + 2 * DAY_NS) == []
    assert opener.open(TOPIC, payload, NOON_NS + 12 * HOUR_NS) != []  # sealed before midnight, opened after it


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_hostile_payloads_are_counted(payload: bytes) -> None:
    opener = ExchangeReader(KEYS)
    period = NOON_NS // DAY_NS
    for body in (payload, msgspec.json.encode(Exchange(period=period, sealed=payload)), b"[" * 50_000, b"x" * 70_000):
        assert opener.open(TOPIC, body, NOON_NS) == []
    assert opener.counters.total() == 4


@given(
    st.integers(-(1 << 63), 1 << 63).filter(lambda n: not 0 <= n < 1 << 62) | st.integers(0, (1 << 62) - 1),
    st.binary(max_size=300),
    st.integers(-3, 40),
    st.integers(-3, 40),
)
def test_a_computer_that_has_the_key_but_talks_nonsense_is_survived(
    time_ns: int, packed: bytes, length: int, cut: int
) -> None:
    record = msgspec.structs.replace(
        record_of(SEEN[0], KEYS), time_ns=time_ns, plates=(PlateTokens(1, length, cut, packed),)
    )
    for sighting in sightings_of(record):
        assert isinstance(sighting, TokenSighting)
        assert all(math.isfinite(compare(a, b) or 0.0) for a in sighting.tokens for b in sighting.tokens)


def test_too_many_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 40"):
        ExchangeWriter(KEYS, TOPIC, numbers()).seal([SEEN[0]] * (MOST_RECORDS + 1), NOON_NS)
    longest = PlateSighting(20_000 * DAY_NS, "C03", "approach", "A" * 15, 0.123456789)
    assert len(ExchangeWriter(KEYS, TOPIC, numbers()).seal([longest] * MOST_RECORDS, longest.time_ns)) < 65_536


# ---- a day of two computers --------------------------------------------------------------------------------------


def test_tokens_match_as_plates_in_clear_also_across_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fleets, 8 % of the plates misread at each point, a midnight in the morning peak."""
    world = day.simulate(day.Scenario(seed=4, hours=11.0))
    lines = day.sightings(world, day.PLATES, seed=9)
    clear = day.run(world, lines, day.in_clear)
    apart = day.run(world, lines, day.by_tokens(KEYS))
    assert clear.matchable > 500
    assert apart.missed < 0.05
    assert apart.missed < clear.missed + 0.01
    assert apart.false_share < max(0.01, clear.false_share + 0.005)
    for truck in world.trucks:
        assert truck.plate.encode() not in apart.wire

    midnight = day.run(world, day.earlier(lines, day.PEAK_NS), day.by_tokens(KEYS), day.START_NS - day.PEAK_NS)
    assert midnight.missed < apart.missed + 0.01
    monkeypatch.setattr(site_exchange, "OVERLAP_NS", 0)
    without = day.run(world, day.earlier(lines, day.PEAK_NS), day.by_tokens(KEYS), day.START_NS - day.PEAK_NS)
    assert without.right < midnight.right - 10  # so the overlap is what saves them


# ---- two daemons' parts ------------------------------------------------------------------------------------------

CONFIG = """
[site]
country = "CA"
port = "0453"
source = "{source}"
[[lane]]
id = "C03"
traffic = "commercial"
[[point]]
name = "approach"
x_m = 0.0
[[point]]
name = "booth"
x_m = 300.0
[[device]]
name = "camera"
driver = "lpr_frame"
url = "tcp://127.0.0.1:1"
lane = "C03"
point = "{point}"
[[device]]
name = "tags"
driver = "transcore_encompass"
url = "tcp://127.0.0.1:2"
lane = "C03"
point = "{point}"
[[device]]
name = "io"
driver = "moxa_e1200"
url = "tcp://127.0.0.1:3"
[[device.input]]
name = "loop"
lane = "C03"
point = "{point}"
[identity]
key_file = "{key}"
[site_exchange]
role = "{role}"
url = "{url}"
"""


def config_of(directory: Path, role: str, url: str = "mqtt://127.0.0.1:9") -> cfg.Config:
    key = directory / "identity.key"
    if not key.exists():
        new_key(key)
    file = directory / f"{role}.toml"
    point = "approach" if role == "send" else "booth"
    file.write_text(CONFIG.format(source=f"computer-{role}", role=role, point=point, url=url, key=key))
    return load(file)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('role = "send"', 'role = "both"', "site_exchange.role: 'both' does not fit; give 'send' or 'match'"),
        ("mqtt://", "http://", "site_exchange.url: 'http://127.0.0.1:9' does not fit"),
        ("[identity]", "[wait]", "identity.key_file: is missing; the tokens of [site_exchange] need"),
    ],
)
def test_what_cannot_work_is_told_before_it_runs(tmp_path: Path, old: str, new: str, fault: str) -> None:
    config_of(tmp_path, "send")
    file = tmp_path / "send.toml"
    text = file.read_text().replace(old, new)
    file.write_text(text.replace("key_file", "#key_file") if old == "[identity]" else text)
    with pytest.raises(cfg.ConfigError) as error:
        load(file)
    assert any(fault in line for line in error.value.faults), error.value.faults


class Broker:
    """A broker in memory: what one link publishes the others get, and the test may look at it."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.carried: list[tuple[str, bytes]] = []
        self.refuses = False

    def link(self, endpoint: object, **kwargs: Any) -> Link:
        return Link(self, **kwargs)


class Link:
    window = 16
    maximum_packet = 65_536

    def __init__(self, broker: Broker, *, subscribe: str | None, acknowledged: Any, received: Any, **_: Any) -> None:
        self.broker, self.filter = broker, subscribe
        self.acknowledged, self.received = acknowledged, received
        self.closed: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self.mid = 0

    async def open(self) -> None:
        if self.broker.refuses:
            raise LinkError("unreachable", "no broker today")
        self.broker.links.append(self)

    def publish(self, message: Outgoing) -> int:
        self.mid += 1
        self.broker.carried.append((message.topic, message.payload))
        for other in self.broker.links:
            if other.filter is not None:
                other.received(message.topic, message.payload, False)
        asyncio.get_running_loop().call_soon(self.acknowledged, self.mid, 0, "")
        return self.mid

    def flush(self) -> None:
        pass

    async def close(self, *, speak_will: bool) -> None:
        self.broker.links.remove(self)


async def test_two_computers_match_and_only_one_tells_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_link, "_EVERY_S", 0.002)
    broker = Broker()
    now_ns = NOON_NS
    crossings: dict[str, Crossing] = {}
    exchanges: dict[str, SiteExchange] = {}
    for role in ("send", "match"):
        config = config_of(tmp_path, role)
        exchanges[role] = exchange = SiteExchange(
            config,
            f"computer-{role}",
            deliver=lambda seen: crossings["match"].sighting(seen),
            link_factory=broker.link,
            clock=lambda: now_ns,
            random=numbers(),
        )
        pseudonyms = Pseudonyms(tmp_path / "identity.key")
        crossings[role] = Crossing(config, source=f"computer-{role}", pseudonyms=pseudonyms, carry=exchange.carry)
    tasks = [asyncio.create_task(exchange.run()) for exchange in exchanges.values()]
    waits: dict[str, list[Wait]] = {"send": [], "match": []}
    identities: list[str] = []
    try:
        await asyncio.sleep(0)
        for minute in range(60):
            now_ns = NOON_NS + minute * 60_000_000_000
            for role, number in (("send", minute), ("match", minute - 5)):
                if number < 0:
                    continue
                plate, tag = f"AB{number * 37 % 100:02d}{number:03d}", f"E2801160{number:08X}"
                identities += [plate, tag]
                misread = role == "match" and number % 4 == 0
                crossing = crossings[role]
                crossing.event(InputChange("io", now_ns - 500_000_000, "loop", False))
                crossing.event(InputChange("io", now_ns, "loop", True))
                read = plate[:-1] + "X" if misread else plate
                crossing.event(PlateRead("camera", now_ns, read, confidence=0.9))
                if number % 3 == 0:
                    crossing.event(TagRead("tags", now_ns, tag))
            async with asyncio.timeout(10):
                while exchanges["send"]._waiting or exchanges["send"]._in_flight:
                    await asyncio.sleep(0.001)
            for role, crossing in crossings.items():
                messages = crossing.advance(now_ns + 30_000_000_000)
                waits[role] += [message for message in messages if isinstance(message, Wait)]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not waits["send"]  # the lane has one voice
    told = [wait for wait in waits["match"] if wait.lane == "C03" and wait.experienced.median_s is not None]
    assert len(told) > 20
    assert all(wait.experienced.median_s == pytest.approx(300.0, abs=1.0) for wait in told)
    assert told[-1].match_rate is not None
    assert told[-1].match_rate > 0.95
    assert {topic for topic, _ in broker.carried} == {"borderflow-site/v1/CA/0453/computer-send/exchange"}
    carried = b"".join(payload for _, payload in broker.carried)
    assert not [identity for identity in identities if identity.encode() in carried]


async def test_what_is_too_old_to_be_used_is_dropped_and_an_outage_is_told(tmp_path: Path) -> None:
    broker = Broker()
    broker.refuses = True
    alarms: list[tuple[str, str]] = []
    now_ns = NOON_NS
    exchange = SiteExchange(
        config_of(tmp_path, "send"),
        "computer-send",
        deliver=lambda seen: None,
        on_alarm=lambda code, state, severity, text: alarms.append((code, state)),
        link_factory=broker.link,
        clock=lambda: now_ns,
        random=numbers(),
    )
    exchange.carry(LoopCount(NOON_NS - 400_000_000_000, "C03", "approach"))
    exchange.carry(LoopCount(NOON_NS - 100_000_000_000, "C03", "approach"))
    task = asyncio.create_task(exchange.run())
    async with asyncio.timeout(10):
        while not alarms:
            await asyncio.sleep(0.01)
        broker.refuses = False
        while not broker.carried:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert alarms == [("site_exchange_down", "begin"), ("site_exchange_down", "end")]
    assert exchange.counters["exchange_dropped"] == 1
    keys = exchange._keys
    assert len(ExchangeReader(keys).open(*broker.carried[0], now_ns)) == 1


async def test_a_wrong_key_and_a_missing_matcher_are_told(tmp_path: Path) -> None:
    """The two mistakes of an installation: each computer made a key of its own; nobody listens."""
    alarms: list[tuple[str, str]] = []
    other = tmp_path / "other"
    other.mkdir()
    match, send = (
        SiteExchange(
            config_of(directory, role),
            f"computer-{role}",
            deliver=lambda seen: None,
            on_alarm=lambda code, state, severity, text: alarms.append((code, state)),
            clock=lambda: NOON_NS,
            random=numbers(),
        )
        for directory, role in ((tmp_path, "match"), (other, "send"))
    )
    topic = "borderflow-site/v1/CA/0453/computer-send/exchange"
    own = ExchangeWriter(match._keys, topic, numbers())
    foreign = [send._writer.seal(SEEN[:1], NOON_NS) for _ in range(30)]
    for payload in foreign[:19]:
        match._received(topic, payload, False)
    match._received(topic, own.seal(SEEN, NOON_NS), False)
    assert alarms == []  # one stranger among our own is no alarm
    for payload in foreign:
        match._received(topic, payload, False)
    match._received(topic, own.seal(SEEN, NOON_NS), False)
    assert alarms == [("site_exchange_foreign", "begin"), ("site_exchange_foreign", "end")]

    alarms.clear()
    for mid in range(40):
        send._in_flight[mid] = SEEN[:1]
        send._acknowledged(mid, 0x10, "No matching subscribers")
    for mid, code in ((40, 0), (41, 0x87), (42, 0)):
        send._in_flight[mid] = SEEN[:1]
        send._acknowledged(mid, code, "Not authorized")
    assert alarms == [
        ("site_exchange_unheard", "begin"),
        ("site_exchange_unheard", "end"),
        ("site_exchange_refused", "begin"),
        ("site_exchange_refused", "end"),
    ]


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_over_a_real_broker_that_lets_nobody_else_listen(tmp_path: Path) -> None:
    """Mutual TLS and the shipped rights: a national collector at the same broker hears nothing of it."""
    authority = Authority(tmp_path / "authority")
    server = authority.issue("site-broker")
    mosquitto = Mosquitto(
        tmp_path,
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {ACL}",
    )
    mosquitto.start()
    got: list[Sighting] = []
    heard: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        centre = authority.issue("national-collector")
        listener = Client(CallbackAPIVersion.VERSION2, client_id="centre")
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        context.load_cert_chain(centre.cert_file, centre.key_file)
        listener.tls_set_context(context)
        listener.on_connect = lambda client, *_: client.subscribe([("#", 1), ("borderflow-site/#", 1)])
        listener.on_message = lambda client, userdata, message: heard.append(message.topic)
        listener.connect("127.0.0.1", mosquitto.port)
        listener.loop_start()
        exchanges = []
        for role, source in (("match", "booth-computer"), ("send", "approach-computer")):
            mine = authority.issue(source)
            tls = {"ca_file": authority.ca_file, "cert_file": mine.cert_file, "key_file": mine.key_file}
            config = config_of(tmp_path, role, f"mqtts://127.0.0.1:{mosquitto.port}")
            assert config.site_exchange is not None
            table = msgspec.structs.replace(config.site_exchange, **{key: str(file) for key, file in tls.items()})
            config = msgspec.structs.replace(config, site_exchange=table)
            exchange = SiteExchange(config, source, deliver=got.append, clock=lambda: NOON_NS)
            exchanges.append(exchange)
            tasks.append(asyncio.create_task(exchange.run()))
            await asyncio.sleep(1.0)
        match, send = exchanges
        for seen in SEEN:
            assert send.carry(seen) == ()
        async with asyncio.timeout(20):
            while len(got) < len(SEEN):
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        listener.disconnect()
        listener.loop_stop()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        mosquitto.kill()
    assert got[2:] == SEEN[2:]
    assert not match.counters
    assert not heard
