"""What a configuration asks of its devices against what their drivers send: channels, rates, inputs, lines, places.

Called by `edge.config.rules` for those who use the devices, with the typed configuration. It needs no device: a driver
says what it is going to send (`drivers.base.Offer`); of one that does not say, nothing is held against it.
"""

from __future__ import annotations

import difflib
import os
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import replace

from drivers import registry
from drivers.base import Driver, Offer
from drivers.urls import Address, parse_url
from edge.config import Config, Device, Faults, Lane, Sensor, Wim, named

_SAME_RATE = 1e-3  # what a digitiser makes of a rate that it cannot divide is nearer
_KILO = (900.0, 1100.0)  # one rate as so many of the other: kilohertz and hertz
_UNLIKE_GAIN = 5.0  # sensors of one kind whose gains differ by more are seldom meant so


def check_devices(config: Config, faults: Faults) -> None:
    """Add what cannot work, or is surely not meant, between lanes, points and devices."""
    drivers = {device.name: driver for device in config.device if (driver := _driver(device, faults)) is not None}
    offers = {name: driver.offer() for name, driver in drivers.items()}
    for lane in config.lane:
        if lane.wim is not None:
            _check_wim(lane, lane.wim, config, offers, faults)
    for device in config.device:
        _check_inputs(device, offers.get(device.name, Offer()), faults)
    _check_lines(config, drivers, offers, faults)
    if not faults.lines:  # a device of a wrong name feeds nothing: that is said already
        _check_uses(config, drivers, offers, faults)
        _check_feeds(config, drivers, offers, faults)


def _driver(device: Device, faults: Faults) -> Driver | None:
    key = f"device[{device.name}]"
    try:
        return registry.create(device.driver, device.name, device.url, device.options)
    except LookupError as error:
        faults.add(f"{key}.driver", str(error.args[0]))
    except registry.OptionError as error:
        faults.add(f"{key}.options.{error.option}" if error.option else f"{key}.options", error.text)
    except ValueError as error:
        faults.add(f"{key}.url", str(error))
    return None


# ---- the sample stream ------------------------------------------------------------------------------------------


def _check_wim(lane: Lane, wim: Wim, config: Config, offers: dict[str, Offer], faults: Faults) -> None:
    key = f"lane[{lane.id}].wim"
    scanner = wim.scanner.device if wim.scanner is not None else None
    for name, wanted in (
        ("device", wim.device),
        ("temperature_device", wim.temperature_device),
        ("scanner.device", scanner),
    ):
        if wanted is not None and named(config.device, wanted) is None:
            close = difflib.get_close_matches(wanted, (device.name for device in config.device), n=1)
            hint = f"did you mean {close[0]!r}?" if close else _known(config.device)
            faults.add(f"{key}.{name}", f"there is no [[device]] named {wanted!r}; {hint}")
    if wim.temperature_device is not None:
        thermometer = offers.get(wim.temperature_device, Offer())
        if thermometer.temperatures is not None and not thermometer.temperatures:
            faults.add(
                f"{key}.temperature_device",
                f"{wim.temperature_device!r} measures no temperature; name its temperatures in [device.options] "
                "(`temperatures_c`), or another device, or write temperature_c alone",
            )
    if scanner is not None and named(config.device, scanner) is not None:
        inputs = offers.get(scanner, Offer()).inputs
        if inputs is not None and "presence" not in inputs:
            faults.add(f"{key}.scanner.device", f"{scanner!r} is no scanner: it tells no presence; see sick_lms")
    if wim.device is None:
        if config.device:
            faults.note(key, "names no `device`, so nothing is weighed here; recordings can be replayed")
        return
    _check_stream(lane, wim, offers.get(wim.device, Offer()), faults)
    digitiser: Device | None = named(config.device, wim.device)
    if digitiser is not None and digitiser.lane not in (None, lane.id):
        faults.add(f"device[{digitiser.name}].lane", f"is {digitiser.lane!r}, but lane {lane.id} weighs with it")
    for other in config.lane[: config.lane.index(lane)]:
        if other.wim is not None and other.wim.device == wim.device:
            faults.add(
                f"{key}.device", f"{wim.device!r} is the device of lane {other.id} already; a digitiser serves one lane"
            )


def _check_stream(lane: Lane, wim: Wim, offer: Offer, faults: Faults) -> None:
    key = f"lane[{lane.id}].wim"
    if offer.channels == 0:
        faults.add(f"{key}.device", f"{wim.device!r} sends no samples; name the digitiser or the weight transmitter")
        return
    for sensor in wim.sensor:
        where = f"{key}.sensor[{sensor.name}]"
        if offer.channels is not None and sensor.channel >= offer.channels:
            faults.add(
                f"{where}.channel",
                f"{sensor.channel} is beyond the {offer.channels} channels that {wim.device!r} samples "
                f"(0 .. {offer.channels - 1}); channels count from 0 in the order of the device's scan_list",
            )
        if sensor.channel in offer.digital:
            _check_digital(sensor, where, faults)
    if offer.rate_hz is not None and abs(wim.sample_rate_hz / offer.rate_hz - 1.0) > _SAME_RATE:
        faults.add(
            f"{key}.sample_rate_hz",
            f"{wim.sample_rate_hz:g} is not the rate of {wim.device!r}, {offer.rate_hz:g} Hz; "
            f"{_rate_remedy(wim.sample_rate_hz, offer.rate_hz)}",
        )


def _rate_remedy(lane_hz: float, device_hz: float) -> str:
    if _KILO[0] < device_hz / lane_hz < _KILO[1]:
        return f"it looks like kilohertz: write {lane_hz * 1000:g}"
    if _KILO[0] < lane_hz / device_hz < _KILO[1]:
        return "the device's looks like kilohertz; rates are in hertz"
    return "both must be the scans a second that the device makes: write them there too, as its rate_hz or scan_rate_hz"


def _check_digital(sensor: Sensor, key: str, faults: Faults) -> None:
    if sensor.type != "loop":
        faults.add(f"{key}.channel", f"{sensor.channel} is a digital line, 0 or 1; a {sensor.type} is analogue")
    elif sensor.threshold_counts is not None and not 0 <= sensor.threshold_counts < 1:
        faults.add(
            f"{key}.threshold_counts",
            f"{sensor.threshold_counts:g} is never passed: channel {sensor.channel} is a digital line, 0 or 1; write 0",
        )


# ---- inputs and lines -------------------------------------------------------------------------------------------


def _check_inputs(device: Device, offer: Offer, faults: Faults) -> None:
    names = [item.name for item in device.input]
    for name in {name for name in names if names.count(name) > 1}:
        faults.add(f"device[{device.name}].input[{name}].name", "stands there twice; an input has one meaning")
    if offer.inputs is None:
        return
    for item in device.input:
        if item.name in offer.inputs:
            continue
        close = difflib.get_close_matches(item.name, offer.inputs, n=1)
        has = f"its inputs are {', '.join(sorted(offer.inputs))}" if offer.inputs else "it has no inputs"
        hint = f"did you mean {close[0]!r}?" if close else "name it in [device.options] too"
        faults.add(f"device[{device.name}].input[{item.name}].name", f"is no input of this device; {has}; {hint}")


def _check_lines(config: Config, drivers: dict[str, Driver], offers: dict[str, Offer], faults: Faults) -> None:
    """A line has one owner, but for the units of a Modbus."""
    owners: list[tuple[Device, Address, Address]] = []  # device, its address, and the line that this leads to
    for device in config.device:
        if device.name not in drivers:
            continue
        driver = drivers[device.name]
        address = parse_url(driver.url, driver.schemes, driver.serial, driver.port)
        line = Address(address.scheme, address.host, address.port if address.scheme != "serial" else 0)
        if address.scheme == "serial":
            line = replace(line, path=os.path.realpath(address.path))
        for other, others_address, others_line in owners:
            if line == others_line and not _share(device, address, other, others_address):
                _check_shared(
                    (other, others_address, offers[other.name].bus_unit),
                    (device, address, offers[device.name].bus_unit),
                    faults,
                )
                break
        owners.append((device, address, line))


def _share(device: Device, address: Address, other: Device, others_address: Address) -> bool:
    """Many ask one chrony or broker; posts to one port are told apart by their path, or by who sends them."""
    if address.scheme != "http":
        return address.scheme in ("chrony", "mqtt", "mqtts")
    hosts, others = set(device.options.get("cameras", ())), set(other.options.get("cameras", ()))
    return address.path != others_address.path or bool(hosts and others and not hosts & others)


_Owner = tuple[Device, Address, int | None]


def _check_shared(first: _Owner, second: _Owner, faults: Faults) -> None:
    other, others_address, others_unit = first
    device, address, unit = second
    key = f"device[{device.name}]"
    if unit is not None and others_unit is not None:
        if unit == others_unit:
            tell = faults.doubt if address.scheme == "tcp" else faults.add  # over TCP two may ask the same one
            tell(f"{key}.options.unit_id", f"{unit} on {address} is {other.name!r} already; give each unit its own")
        elif address != others_address:
            faults.add(
                f"{key}.url",
                f"is the line of {other.name!r} under another name or setting; write path, baud, parity alike in both",
            )
        return
    if address.scheme == "serial":
        same = "" if address.path == others_address.path else f" ({others_address.path} and {address.path} are one)"
        faults.add(
            f"{key}.url",
            f"{address.path} is the line of {other.name!r} already{same}; only Modbus units share a line. Two USB "
            "adapters without serial numbers have one by-id name: /dev/serial/by-path/… tells them apart",
        )
    elif address.scheme == "http":
        text = f"{address}{address.path} is that of {other.name!r} already; give each device a path of its own"
        faults.add(f"{key}.url", f"{text}, like {address}/{device.name}, or say which `cameras` may post to each")
    elif address.scheme == "rfc2217":
        faults.add(f"{key}.url", f"{address} is that of {other.name!r} already; give each device its own port")
    else:
        faults.doubt(f"{key}.url", f"{address} is that of {other.name!r} already; is one of them another device?")


def _known(devices: tuple[Device, ...]) -> str:
    names = ", ".join(device.name for device in devices)
    return f"the devices are {names}" if names else "there are no devices yet"


# ---- what is of no use ------------------------------------------------------------------------------------------


def _check_uses(config: Config, drivers: dict[str, Driver], offers: dict[str, Offer], faults: Faults) -> None:
    wims = [lane.wim for lane in config.lane if lane.wim is not None]
    used = {name for wim in wims for name in (wim.device, wim.temperature_device)}
    used |= {wim.scanner.device for wim in wims if wim.scanner is not None}
    for device in config.device:
        key, driver = f"device[{device.name}]", drivers[device.name]
        if driver.reads_identifiers:
            for name in ("lane", "point"):
                if getattr(device, name) is None:
                    faults.doubt(f"{key}.{name}", f"is missing; what this reader reads counts nowhere without a {name}")
        elif not (device.name in used or device.input or driver.reports) and offers[device.name] != Offer():
            faults.doubt(key, "nothing uses it; name it in a [lane.wim], give it [[device.input]] tables, or remove it")
        elif offers[device.name].channels and device.name not in used:
            faults.doubt(key, "no lane weighs with it; name it as `device` of a [lane.wim], or remove it")
    for lane in config.lane:
        if lane.wim is not None:
            _check_gains(lane.id, lane.wim.sensor, faults)
        lamps = sum(
            item.signal == "booth_open" and (item.lane or device.lane) == lane.id
            for device in config.device
            for item in device.input
        )
        if lamps > lane.booths:
            faults.doubt(
                f"lane[{lane.id}].booths", f"is {lane.booths}, but {lamps} inputs say that a booth of it is open"
            )
    if wims:
        for collector in config.collector:
            if "vehicle" not in collector.share:
                faults.note(
                    f"collector[{collector.name}].share",
                    'gets no vehicles: "vehicle" is not in it; add it where this collector is meant to have weights',
                )


def _check_gains(lane: str, sensors: Iterable[Sensor], faults: Faults) -> None:
    scales = [(sensor, abs(sensor.gain_n)) for sensor in sensors if sensor.type != "loop" and sensor.gain_n]
    for kind in ("strip", "plate"):
        alike = [(sensor, gain) for sensor, gain in scales if sensor.type == kind]
        usual = statistics.median(gain for _, gain in alike) if len(alike) > 2 else 0.0
        for sensor, gain in alike:
            if usual and not 1 / _UNLIKE_GAIN < gain / usual < _UNLIKE_GAIN:
                faults.doubt(
                    f"lane[{lane}].wim.sensor[{sensor.name}].gain_n",
                    f"{sensor.gain_n:g} is far from that of the other {kind}s, {usual:g}; is the point in its place?",
                )


# ---- points -----------------------------------------------------------------------------------------------------


def _check_feeds(config: Config, drivers: dict[str, Driver], offers: dict[str, Offer], faults: Faults) -> None:
    """Nothing is known of a point where no device stands; other computers of the crossing may stand there."""
    if config.site_exchange is not None or not config.device:
        return
    feeds = set(_feeds(config, drivers, offers))
    waits = any(driver.reads_identifiers for driver in drivers.values()) or any(d.input for d in config.device)
    tell = faults.doubt if waits else faults.note  # a site that only weighs is one too
    names = [point.name for point in config.point]
    end = names.index("booth") if "booth" in names else len(names) - 1
    for place, name in enumerate(names):
        lanes = [lane.id for lane in config.lane if (lane.id, name) not in feeds]
        if len(lanes) == len(config.lane):
            text = "no reader, no loop of a [[device.input]] and no digitiser stands there"
            if place > end:
                faults.note(f"point[{name}]", f"{text}: what happens behind {names[end]!r} is not told")
            else:
                tell(f"point[{name}]", f"{text}, so no wait can be told; give a device this point, or remove it")
        elif name == "booth":
            for lane in lanes:
                tell(
                    f"lane[{lane}]",
                    f"nothing stands at its {name!r}, so it has no waits; give a device there this lane",
                )


def _feeds(config: Config, drivers: dict[str, Driver], offers: dict[str, Offer]) -> Iterator[tuple[str, str]]:
    """Lane and point of everything that tells of vehicles there."""
    weighs = {lane.wim.device for lane in config.lane if lane.wim is not None}
    for device in config.device:
        tells = device.name in weighs or drivers[device.name].reads_identifiers or offers[device.name] == Offer()
        if tells and device.lane is not None and device.point is not None:
            yield device.lane, device.point
        for item in device.input:
            lane = item.lane or device.lane
            if item.signal == "loop" and lane is not None and item.point is not None:
                yield lane, item.point
    for entry in config.lane:
        name = entry.wim.device if entry.wim is not None else None
        wim_device: Device | None = named(config.device, name) if name is not None else None
        if wim_device is not None and wim_device.point is not None:
            yield entry.id, wim_device.point
