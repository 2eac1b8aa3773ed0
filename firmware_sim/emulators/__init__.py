"""The emulated devices, one file each, and how a scenario's device becomes one; called by `serve.py` and by tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from firmware_sim.emulators.adam_6000 import Adam6000
from firmware_sim.emulators.base import Emulator, Samples
from firmware_sim.emulators.camera_stream import CameraStream
from firmware_sim.emulators.dataq_cdc import DataqCdc
from firmware_sim.emulators.gpsd import Gpsd
from firmware_sim.emulators.hbm_aed import HbmAed
from firmware_sim.emulators.hikvision_isapi import HikvisionIsapi
from firmware_sim.emulators.json_events import JsonEvents, JsonStream
from firmware_sim.emulators.labjack_t7 import LabJackT7
from firmware_sim.emulators.laumas_tlb import LaumasTlb
from firmware_sim.emulators.llrp import Llrp
from firmware_sim.emulators.lpr_frame import LprFrame
from firmware_sim.emulators.moxa_e1200 import MoxaE1200
from firmware_sim.emulators.mt_sics import MtSics
from firmware_sim.emulators.scaime_enod4 import ScaimeEnod4
from firmware_sim.emulators.sick_lms import SickLms
from firmware_sim.emulators.sma_scale import SmaScale
from firmware_sim.emulators.thingmagic_mercury import ThingMagicMercury
from firmware_sim.emulators.toledo_continuous import ToledoContinuous
from firmware_sim.emulators.transcore_encompass import TransCoreEncompass
from firmware_sim.emulators.weighing import STANDARD_GRAVITY, LoadSignal
from firmware_sim.scenario import DIGITISERS, Device, Scenario, ScenarioError

TRANSMITTERS: dict[str, Callable[..., Emulator]] = {
    "scaime_enod4": ScaimeEnod4,
    "hbm_aed": HbmAed,
    "laumas_tlb": LaumasTlb,
    "toledo_continuous": ToledoContinuous,
    "sma_scale": SmaScale,
    "mt_sics": MtSics,
}
# options of a driver that must be as its device is set up, and what the emulator calls them
MIRRORED: dict[str, dict[str, str]] = {
    "scaime_enod4": {"unit_id": "address", "rate_hz": "rate_hz", "protocol": "protocol"},
    "hbm_aed": {"unit_id": "address", "model": "model"},
    "laumas_tlb": {"unit_id": "address"},
    "toledo_continuous": {"rate_hz": "frames_hz", "checksum": "checksum"},
    "sma_scale": {},
    "mt_sics": {},
}


def digital_channels(scenario: Scenario, lane_id: str) -> frozenset[int]:
    """Channels of a lane that are contacts: its loops without an analogue signal."""
    wim = scenario.lane_of(lane_id).wim
    sensors = wim.sensor if wim is not None else ()
    return frozenset(sensor.channel for sensor in sensors if sensor.type == "loop" and sensor.loop_counts is None)


def create(
    device: Device,
    scenario: Scenario,
    *,
    clock: Callable[[float], datetime],
    temperature_c: Callable[[float], float],
    samples: Callable[[str], Samples],
) -> Emulator:
    """The emulator of a device of a scenario. `samples` gives the source of a lane. Raises ScenarioError."""
    try:
        return _create(device, scenario, clock, temperature_c, samples)
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"device {device.name!r}: {error}") from error


def _create(
    device: Device,
    scenario: Scenario,
    clock: Callable[[float], datetime],
    temperature_c: Callable[[float], float],
    samples: Callable[[str], Samples],
) -> Emulator:
    # `setup` is the device's own; of the driver's `options` an emulator takes those that mirror its device's settings
    setup = dict(device.setup)
    if device.kind in DIGITISERS:
        if device.lane is None or (wim := scenario.lane_of(device.lane).wim) is None:
            raise ValueError("a digitiser needs a lane with a wim array")
        channels, digital = len(wim.sensor), digital_channels(scenario, device.lane)
        digitiser = LabJackT7 if device.kind == "labjack_t7" else DataqCdc
        return digitiser(samples(device.lane), channels, digital, **setup)
    if device.kind in TRANSMITTERS:
        for option, own in MIRRORED[device.kind].items():
            if option in device.options:
                setup.setdefault(own, device.options[option])
        return TRANSMITTERS[device.kind](_load_signal(device, scenario, samples, setup.pop("channels", None)), **setup)
    inputs = tuple(line.name for line in device.inputs)
    match device.kind:
        case "moxa_e1200":
            if "temperatures_c" in device.options:
                setup.setdefault("model", "E1260")
            return MoxaE1200(inputs, temperature_c=temperature_c, **setup)
        case "transcore_encompass":
            if device.options.get("protocol") == "ecp":
                setup.setdefault("protocol", "ecp")
            return TransCoreEncompass(clock, **setup)
        case "sick_lms":
            return SickLms(**{"height_m": device.options.get("height_m", 6.0)} | setup)
        case "adam_6000":
            return Adam6000(inputs, **setup)
        case "thingmagic_mercury":
            return ThingMagicMercury(**setup)
        case "hikvision_isapi":
            return HikvisionIsapi(clock, **setup)
        case "camera_stream":
            setup.setdefault("maker", device.options.get("maker", "dahua"))
            return CameraStream(clock, **setup)
        case "json_events":
            if setup.pop("stream", False):
                return JsonStream(clock, **setup)
            setup.setdefault("preset", device.options.get("preset"))
            return JsonEvents(clock, **setup)
        case "llrp":
            return Llrp(clock, **setup)
        case "gpsd":
            return Gpsd(clock, **setup)
        case "lpr_frame":
            setup.setdefault("preset", device.options.get("preset", "nedap_raw"))
            if device.options.get("acknowledge"):
                setup.setdefault("ack_timeout_s", 1.0)
            return LprFrame(clock, **setup)
    raise ValueError(f"there is no emulator for kind {device.kind!r} yet")


def _load_signal(
    device: Device, scenario: Scenario, samples: Callable[[str], Samples], channels: list[int] | None
) -> LoadSignal:
    """The load that a weight transmitter feels: `channels` of its lane, without them all plates or else all strips."""
    wim = scenario.lane_of(device.lane).wim if device.lane is not None else None
    if device.lane is None or wim is None:
        raise ValueError("a weight transmitter needs a lane with a wim array")
    kinds = {sensor.type for sensor in wim.sensor}
    wanted = "plate" if "plate" in kinds else "strip"
    chosen = [s for s in wim.sensor if (s.channel in channels if channels is not None else s.type == wanted)]
    if not chosen or (channels is not None and len(chosen) != len(channels)):
        raise ValueError(f"setup.channels {channels!r}: lane {device.lane!r} has 0..{len(wim.sensor) - 1}")
    factors = {sensor.channel: sensor.gain_n / STANDARD_GRAVITY for sensor in chosen}
    return LoadSignal(samples(device.lane), factors, sorted(digital_channels(scenario, device.lane)))
