"""What types alone cannot say about a configuration: names that agree, geometry that works, files that exist.

Called by `edge.config.file.load` with the typed configuration; every rule adds a line with the key and the remedy.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterable
from typing import get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from edge.config import Collector, Config, Device, Faults, Input, Lane, Point, Sensor, SiteExchange, Wim, named
from edge.messages import Program

TOPIC_LEVEL = re.compile(r"[A-Za-z0-9_-]+")
_ROTATION = re.compile(r"(\d+)([hd])")
_PLATE_CHARACTERS = frozenset(string.ascii_uppercase + string.digits)
_LEAST_STORE, _MOST_STORE = 10_000_000, 10**15
_DIRECTIONS = ("inbound", "outbound")
_LEAST_STRIP_HZ = 100.0  # slower, and a wheel is over a strip between two samples
_MOST_STRIP_M, _MOST_WIDTH_M, _MOST_LOOP_M = 0.3, 10.0, 30.0  # extent along the lane
_MOST_Y_M = 15.0  # no lane is so wide
_MOST_APART_M = 10.0  # lines farther apart see different vehicles
_LOOP_NEAR_M = 5.0  # a car that is over the loop is still, or already, over the array
_MOST_POINTS_M = 100_000.0
_SAME_PLACE_M = 0.02  # two sensors nearer than this along the lane stand on one line
_LINES_APART_M = 0.3  # lines that are meant to be two are further apart: nearer ones tell no speed
_LEAST_GAIN_N, _MOST_GAIN_N = 1e-4, 1e4  # a lorry's wheel, 50 kN, is 5 counts at least and 5e8 at most
_LEAST_TAU_S = 0.01  # an amplifier that forgets sooner passes no wheel
_LEAST_COUNT, _MOST_COUNT = -32768, 32767


def rotation_s(text: str) -> int:
    """Seconds of a rotation such as `24h` or `7d`; ValueError if it is none."""
    match = _ROTATION.fullmatch(text)
    seconds = int(match[1]) * (3600 if match[2] == "h" else 86_400) if match and len(match[1]) < 8 else 0
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"{text!r} is no duration up to a year; write hours or days, such as 24h or 7d")
    return seconds


def check_config(config: Config, faults: Faults, *, live: bool, sensors: bool) -> None:
    """Add a fault for everything that cannot work; without `sensors` whatever weighs is left out."""
    _check_site(config, faults)
    _unique((lane.id for lane in config.lane), "lane", faults)
    _unique((device.name for device in config.device), "device", faults)
    _unique((point.name for point in config.point), "point", faults)
    _unique((collector.name for collector in config.collector), "collector", faults)
    if not config.lane and not faults.told_of("lane"):
        faults.add("lane", "there is none; add at least one [[lane]]")
    for lane in config.lane:
        _check_lane(lane, faults, sensors=sensors)
    if not 1 <= config.wait.interval_s <= 3600 or 3600 % config.wait.interval_s:
        faults.add("wait.interval_s", f"{config.wait.interval_s} does not divide an hour; give for instance 60 or 300")
    _check_points(config, faults)
    if not _LEAST_STORE <= config.store.max_bytes <= _MOST_STORE:
        faults.add(
            "store.max_bytes",
            f"{config.store.max_bytes} is outside {_LEAST_STORE} .. {_MOST_STORE}; give bytes of disk",
        )
    for program, reference_s in config.wait.baseline.items():
        if program not in get_args(Program):
            faults.add(f"wait.baseline.{program}", f"is no program; the programs are {', '.join(get_args(Program))}")
        if reference_s <= 0:
            faults.add(f"wait.baseline.{program}", "must be a positive number of seconds")
    if config.identity is not None:
        try:
            rotation_s(config.identity.rotation)
        except ValueError as error:
            faults.add("identity.rotation", str(error))
    for point in config.point:
        _check_plate_reader(point, faults)
    for collector in config.collector:
        _check_broker(collector, f"collector[{collector.name}]", faults, live=live)
        _check_identifiers(collector, faults, live=live)
    if config.evidence is not None:
        if not 10 <= config.evidence.interval_s <= 86_400:
            faults.add("evidence.interval_s", f"{config.evidence.interval_s} is outside 10 .. 86400")
        if live:
            _check_file(
                config.evidence.key_file, "evidence.key_file", faults, remedy="borderflow key --sign FILE makes one"
            )
    if config.site_exchange is not None:
        _check_broker(config.site_exchange, "site_exchange", faults, live=live)
        if config.identity is None:
            faults.add("identity.key_file", "is missing; the tokens of [site_exchange] need the site's secret")
    for device in config.device:
        _check_device(device, config, faults)
    if live:
        _check_live(config, faults)


def _check_plate_reader(point: Point, faults: Faults) -> None:
    where = f"point[{point.name}].plates"
    if not 1e-5 <= point.plates.error <= 0.4:
        faults.add(
            f"{where}.error", f"{point.plates.error} is outside 0.00001 .. 0.4; give the share of characters misread"
        )
    for truly, shares in point.plates.confusion.items():
        for character in (truly, *shares):
            if character not in _PLATE_CHARACTERS:
                faults.add(f"{where}.confusion", f"{character!r} is not one of A-Z and 0-9")
        if truly in shares:
            faults.add(f"{where}.confusion.{truly}", "holds the character itself; give what it is mistaken for")
        if any(share < 0.0 for share in shares.values()) or sum(shares.values()) > 1.0:
            faults.add(f"{where}.confusion.{truly}", "shares must not be negative, nor add up to more than 1")


def _check_points(config: Config, faults: Faults) -> None:
    """Points stand in the order in which a vehicle passes them, and something lies ahead of the booth."""
    if len(config.point) > 1 and config.point[0].name == "booth":
        faults.add(
            "point[booth]", "is the first one, and the wait ends there; name first what a vehicle passes before it"
        )
    known = [point for point in config.point if point.x_m is not None]
    for ahead, behind in itertools.pairwise(known):
        if (behind.x_m or 0.0) - (ahead.x_m or 0.0) > _MOST_POINTS_M:
            faults.add(f"point[{behind.name}].x_m", f"{behind.x_m:g} is far from {ahead.name!r}; {_metres('give it')}")
        if (behind.x_m or 0.0) < (ahead.x_m or 0.0):
            faults.add(
                f"point[{behind.name}].x_m",
                f"{behind.x_m} lies before {ahead.name!r} ({ahead.x_m}); x_m grows in the order of passing",
            )


def _unique(names: Iterable[str], key: str, faults: Faults) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            faults.add(f"{key}[{name}]", f"there are two of this name; every [[{key}]] needs its own")
        seen.add(name)


def _topic_level(text: str, key: str, faults: Faults) -> None:
    if not TOPIC_LEVEL.fullmatch(text):
        faults.add(
            key,
            f"{text!r} cannot stand in a topic: some brokers make a new level of a dot (RabbitMQ) or end the "
            "connection at a space (NATS); use the letters A to Z, digits, - and _",
        )


def _check_site(config: Config, faults: Faults) -> None:
    site = config.site
    if not re.fullmatch(r"[A-Z]{2}", site.country):
        faults.add("site.country", f"{site.country!r} is no ISO 3166-1 alpha-2 code; write for instance CA, US or MX")
    _topic_level(site.port, "site.port", faults)
    if site.source is not None:
        _topic_level(site.source, "site.source", faults)
    try:
        ZoneInfo(site.timezone)
    except (KeyError, ValueError, OSError):
        faults.add("site.timezone", f"{site.timezone!r} is no IANA time zone; write for instance America/Toronto")


def _check_lane(lane: Lane, faults: Faults, *, sensors: bool) -> None:
    key = f"lane[{lane.id}]"
    _topic_level(lane.id, f"{key}.id", faults)
    if lane.id == "_":
        faults.add(f"{key}.id", "_ stands for the whole crossing; name the lane otherwise")
    if lane.direction not in _DIRECTIONS:
        faults.note(
            f"{key}.direction",
            f"{lane.direction!r} is not {' or '.join(_DIRECTIONS)}: lanes are one queue only where they say the same",
        )
    if lane.booths < 1:
        faults.add(f"{key}.booths", "must be at least 1")
    if lane.wim is not None and sensors:
        _check_wim(lane.wim, f"{key}.wim", faults)


def _check_wim(wim: Wim, key: str, faults: Faults) -> None:
    if not 5 <= wim.sample_rate_hz <= 1_000_000:
        faults.add(f"{key}.sample_rate_hz", f"{wim.sample_rate_hz} is outside 5 .. 1000000")
    elif wim.sample_rate_hz < _LEAST_STRIP_HZ and any(sensor.type == "strip" for sensor in wim.sensor):
        faults.add(
            f"{key}.sample_rate_hz",
            f"{wim.sample_rate_hz:g} Hz is too slow for strips; in hertz it may be {wim.sample_rate_hz * 1e3:g}",
        )
    if not -60 <= wim.temperature_c <= 90:
        faults.add(f"{key}.temperature_c", f"{wim.temperature_c} is outside -60 .. 90")
    _unique((sensor.name for sensor in wim.sensor), f"{key}.sensor", faults)
    by_channel: dict[int, str] = {}
    for sensor in wim.sensor:
        where = f"{key}.sensor[{sensor.name}]"
        if sensor.channel in by_channel:
            faults.add(
                f"{where}.channel",
                f"channel {sensor.channel} is used by {by_channel[sensor.channel]!r} already; give each sensor its own",
            )
        by_channel.setdefault(sensor.channel, sensor.name)
        _check_sensor(sensor, where, faults)
    scales = [sensor for sensor in wim.sensor if sensor.type != "loop"]
    for i, first in enumerate(scales):
        for second in scales[i + 1 :]:
            if abs(first.x_m - second.x_m) < _least_apart_m(first, second) and _overlap(first, second):
                faults.add(
                    f"{key}.sensor[{second.name}].x_m",
                    f"stands at the same place as {first.name!r} (x_m {first.x_m} and {second.x_m}, y_m overlap); "
                    "give halves of one line different y_m, or lines different x_m",
                )
            elif _halves_astray(first, second):
                faults.note(
                    f"{key}.sensor[{second.name}].x_m",
                    f"{second.x_m}, and {first.x_m} of {first.name!r}: halves of one line have one x_m, these are two",
                )
    lines = {round(sensor.x_m / _SAME_PLACE_M) for sensor in scales if sensor.type == "strip"}
    if not scales:
        faults.add(f"{key}.sensor", "there is no strip and no plate; nothing can be weighed")
    elif len(lines) < 2 and not any(sensor.type == "plate" for sensor in scales):
        faults.add(
            f"{key}.sensor", "one line of strips cannot tell a speed; give at least two lines with different x_m"
        )
    if wim.mode == "loop" and not any(sensor.type == "loop" for sensor in wim.sensor):
        faults.add(f"{key}.mode", 'is "loop" but no sensor is of type "loop"; add one or write mode = "gap"')
    elif wim.mode == "scanner" and wim.scanner is None:
        faults.add(f"{key}.mode", 'is "scanner" but there is no [lane.wim.scanner]; name its device and its x_m')
    elif wim.mode != "scanner" and wim.scanner is not None:
        faults.note(f"{key}.mode", f'is "{wim.mode}": the scanner is not used; write mode = "scanner" to use it')
    elif wim.mode == "gap" and any(sensor.type == "loop" for sensor in wim.sensor):
        faults.note(f"{key}.mode", 'is "gap": vehicles are cut without the loop; write mode = "loop" to use it')
    _check_places(wim, key, faults)


def _check_places(wim: Wim, key: str, faults: Faults) -> None:
    """The lines stand near each other, and the loops near the lines: else a length is in another unit."""
    scales = sorted((sensor for sensor in wim.sensor if sensor.type != "loop"), key=lambda sensor: sensor.x_m)
    for ahead, behind in itertools.pairwise(scales):
        if behind.x_m - ahead.x_m > _MOST_APART_M:
            faults.add(
                f"{key}.sensor[{behind.name}].x_m",
                f"{behind.x_m:g} is {behind.x_m - ahead.x_m:g} m from {ahead.name!r}; "
                f"{_metres('lines of one array are nearer')}",
            )
            return  # what lies behind it is as far, and the loops fit neither
    if wim.scanner is not None and scales:
        away_m = max(scales[0].x_m - wim.scanner.x_m, wim.scanner.x_m - scales[-1].x_m)
        if away_m > _LOOP_NEAR_M:
            faults.add(
                f"{key}.scanner.x_m",
                f"its plane is {away_m:g} m from the lines ({scales[0].x_m:g} .. {scales[-1].x_m:g}), too far "
                f"to tell their vehicles apart; {_metres('give the place of its plane')}",
            )
    for loop in (sensor for sensor in wim.sensor if sensor.type == "loop" and scales):
        half_m = (loop.width_m or 0.0) / 2
        away_m = max(scales[0].x_m - loop.x_m - half_m, loop.x_m - half_m - scales[-1].x_m)
        if away_m > _LOOP_NEAR_M:
            faults.add(
                f"{key}.sensor[{loop.name}].x_m",
                f"the loop begins {away_m:g} m from the lines ({scales[0].x_m:g} .. {scales[-1].x_m:g}), too far to "
                f"tell their vehicles apart; {_metres('give the place of its middle')}, or make it a [[device.input]]",
            )


def _metres(text: str) -> str:
    return f"{text}; lengths are in metres, not centimetres or millimetres"


def _least_apart_m(first: Sensor, second: Sensor) -> float:
    """Strips that lie side by side are their width apart at least."""
    if first.type == second.type == "strip" and first.angle_deg == second.angle_deg:
        return max(_SAME_PLACE_M, ((first.width_m or 0.0) + (second.width_m or 0.0)) / 2 - 1e-9)
    return _SAME_PLACE_M


def _overlap(first: Sensor, second: Sensor) -> bool:
    if first.y_m is None or second.y_m is None:
        return True
    return max(first.y_m[0], second.y_m[0]) < min(first.y_m[1], second.y_m[1]) - 1e-9


def _halves_astray(first: Sensor, second: Sensor) -> bool:
    """Whether two strips beside each other stand as no halves do, and no lines: a slip, or they were laid so."""
    straight = first.type == second.type == "strip" and first.angle_deg == second.angle_deg == 0.0
    apart_m = abs(first.x_m - second.x_m)
    return straight and _SAME_PLACE_M < apart_m < _LINES_APART_M and not _overlap(first, second)


def _check_sensor(sensor: Sensor, key: str, faults: Faults) -> None:
    if not 0 <= sensor.channel < 128:
        faults.add(f"{key}.channel", f"{sensor.channel} is outside 0 .. 127")
    if abs(sensor.x_m) > 1000:
        faults.add(f"{key}.x_m", f"{sensor.x_m} is no position in metres near the array")
    if sensor.y_m is not None and not sensor.y_m[0] < sensor.y_m[1]:
        faults.add(f"{key}.y_m", f"{list(sensor.y_m)} covers nothing; write [left edge, right edge] in metres")
    if sensor.y_m is not None and max(abs(y_m) for y_m in sensor.y_m) > _MOST_Y_M:
        faults.add(f"{key}.y_m", f"{list(sensor.y_m)} reaches beyond any lane; {_metres('give both edges')}")
    if sensor.type == "loop":
        if sensor.width_m is not None and not 0.1 <= sensor.width_m <= _MOST_LOOP_M:
            faults.add(f"{key}.width_m", f"{sensor.width_m:g} is no length of a loop; {_metres('give it')}")
        if sensor.threshold_counts is None:
            faults.add(f"{key}.threshold_counts", "is missing; give the counts above which a vehicle is over the loop")
        elif not _LEAST_COUNT <= sensor.threshold_counts < _MOST_COUNT:
            faults.add(
                f"{key}.threshold_counts",
                f"{sensor.threshold_counts:g} is never passed or always: samples are {_LEAST_COUNT} .. {_MOST_COUNT}; "
                "give the counts above which a vehicle is over the loop",
            )
        return
    if not sensor.gain_n:
        missing = "is missing" if sensor.gain_n is None else "is 0"
        faults.add(f"{key}.gain_n", f"{missing}; give the newtons of one count (negative for a reversed channel)")
    elif not _LEAST_GAIN_N <= abs(sensor.gain_n) <= _MOST_GAIN_N:
        faults.add(
            f"{key}.gain_n",
            f"{sensor.gain_n:g} is no scale of a wheel, which is 0.5 to 50 kN; give the newtons of one count",
        )
    most_m = _MOST_STRIP_M if sensor.type == "strip" else _MOST_WIDTH_M
    if sensor.width_m is None or not 0.001 <= sensor.width_m <= most_m:
        wrong = "is missing" if sensor.width_m is None else f"{sensor.width_m:g} is outside 0.001 .. {most_m:g}"
        faults.add(f"{key}.width_m", f"{wrong}; {_metres('give the extent along the lane')}, such as 0.053 for a strip")
    if sensor.coupling_tau_s != 0 and sensor.coupling_tau_s < _LEAST_TAU_S:
        faults.add(
            f"{key}.coupling_tau_s",
            f"must be 0 (DC-coupled) or the time constant of the amplifier in seconds, {_LEAST_TAU_S:g} at least",
        )
    if abs(sensor.angle_deg) > 60:
        faults.add(f"{key}.angle_deg", f"{sensor.angle_deg} is outside -60 .. 60")


def _check_broker(collector: Collector | SiteExchange, key: str, faults: Faults, *, live: bool) -> None:
    url = urlsplit(collector.url)
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
        faults.add(f"{key}.url", f"{collector.url!r} does not fit; write mqtts://host:8883 or mqtt://host:1883")
    if url.username or url.password:
        faults.add(f"{key}.url", "holds a user or a password; write username and password_file instead")
    if (collector.cert_file is None) != (collector.key_file is None):
        faults.add(f"{key}.key_file", "cert_file and key_file go together; give both or none")
    if live:
        for name in ("ca_file", "cert_file", "key_file", "password_file"):
            file = getattr(collector, name)
            if file is not None:
                _check_file(file, f"{key}.{name}", faults)


def _check_identifiers(collector: Collector, faults: Faults, *, live: bool) -> None:
    file = collector.identifier_key_file
    key = f"collector[{collector.name}].identifier_key_file"
    if ("identifier" in collector.share) != (file is not None):
        faults.add(key, 'goes with "identifier" in share: an authority with the legal basis gives its public key')
    if file is not None and live:
        _check_file(file, key, faults, remedy="ask the authority for its X25519 public key")


def _check_device(device: Device, config: Config, faults: Faults) -> None:
    key = f"device[{device.name}]"
    places: list[tuple[str, Device | Input]] = [(key, device)]
    places += [(f"{key}.input[{item.name}]", item) for item in device.input]
    for where, place in places:
        left_out = faults.told_of(f"lane[{place.lane}]")  # a lane with faults of its own
        if place.lane is not None and named(config.lane, place.lane) is None and not left_out:
            lanes = ", ".join(lane.id for lane in config.lane)
            faults.add(f"{where}.lane", f"there is no [[lane]] with id {place.lane!r}; the lanes are {lanes or 'none'}")
        if place.point is not None and config.point and named(config.point, place.point) is None:
            points = ", ".join(point.name for point in config.point)
            faults.add(f"{where}.point", f"there is no [[point]] named {place.point!r}; the points are {points}")
    for item in device.input:
        if item.lane is None and device.lane is None:
            faults.add(f"{key}.input[{item.name}].lane", "is missing, and the device has no lane either")
        if item.signal == "loop" and item.point is None:
            faults.add(f"{key}.input[{item.name}].point", "is missing; name the point at which the loop counts")


def _check_live(config: Config, faults: Faults) -> None:
    from edge.config.devices import check_devices  # with all that drivers need, which the other commands do without

    if config.identity is None:
        if any(device.point for device in config.device):
            faults.add("identity.key_file", "is missing; pseudonyms need a secret: borderflow key FILE makes one")
    else:
        _check_file(config.identity.key_file, "identity.key_file", faults, remedy="borderflow key FILE makes one")
    check_devices(config, faults)
    if not config.point and any(_named_points(device) for device in config.device):
        faults.add("point", "there is none; name the points in the order in which a vehicle passes them")
    elif not config.point and config.device:
        faults.note("point", "there is none, so no wait is told; name the points in the order of passing")


def _named_points(device: Device) -> list[str]:
    return [name for name in (device.point, *(item.point for item in device.input)) if name is not None]


def _check_file(file: str, key: str, faults: Faults, remedy: str = "name an existing file") -> None:
    from drivers.secrets import credential_file

    try:
        with credential_file(file).open("rb"):
            pass
    except OSError as error:
        faults.add(key, f"{file} cannot be read ({error.strerror}); {remedy}")
