"""What alarms say, in English: `text_of` makes the text of a code and its args, and of nothing else.

Called by edge/alarms. A catalogue of another language is a table with the same keys: a code, or a code and the
`case` of its args where one code has several remedies (`sensor_fault.dead`). `{where}` is made of what the args say of
lane, device, point, sensor and channel. An args value that names a trouble in words (`reason`) comes from a device, a
library or the operating system and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.remedies import DOWN, GARBAGE, SILENT

_WHERE: Final = ("lane", "device", "collector", "broker", "sensor", "channel", "point")  # in this order

TEXTS: Final[dict[str, str]] = {
    "where.lane": "lane {lane}",
    "where.device": "device {device}",
    "where.collector": "collector {collector}",
    "where.broker": "the site's broker {broker}",
    "where.sensor": "sensor {sensor}",
    "where.channel": "channel {channel}",
    "where.point": "at {point}",
    # how an alarm ends
    "end": "{where}: in order again after {held_s} s",
    "end.said": "{where}: in order again after {held_s} s: {ended}",
    # devices
    "device_down": "{where}: {reason}",
    **{f"device_down.{how}": "{where}: {reason}; " + remedy for how, remedy in DOWN.items()},
    "device_silent": "{where}: {reason}",
    **{f"device_silent.{how}": "{where}: {reason}; " + remedy for how, remedy in SILENT.items()},
    **{f"device_silent.garbage_{how}": "{where}: {reason}; " + remedy for how, remedy in GARBAGE.items()},
    **{
        f"frames_rejected.{how}": "{where}: frames were rejected ({reasons}); " + remedy
        for how, remedy in GARBAGE.items()
    },
    "frames_rejected.on_the_way": (
        "{where}: frames were rejected ({reasons}); messages were lost or doubled on the way; check cable, plugs and "
        "what stands between"
    ),
    "frames_rejected.counter_jump": (
        "{where}: frames were rejected ({reasons}); counters run ahead faster than inputs can; check the module's word "
        "order and register map"
    ),
    "samples_lost": (
        "{where}: {scans} scans were lost in {gaps} gaps; check the network between digitiser and computer and the "
        "load of both, or lower the scan rate"
    ),
    "sample_rate.wrong": (
        "{where}: samples at {rate_hz:.2f} Hz, the configuration says {configured_hz:g} Hz; vehicles are flagged "
        "sensor_fault; set sample_rate_hz to what the device delivers, or look at the device"
    ),
    "sample_rate.useless": (
        "{where}: samples at {rate_hz:.2f} Hz, the configuration says {configured_hz:g} Hz; vehicles are held back "
        "({held_back} so far); set sample_rate_hz to what the device delivers, or look at the device"
    ),
    "sample_rate.strays": (
        "{where}: its sample clock runs {ppm:+.0f} ppm against what it did in the last minutes; speeds and loads "
        "follow the estimate, but look at the device's temperature and supply"
    ),
    "channels_missing": (
        "{where}: sends {channels} channels, a sensor has channel {highest} (they count from 0); correct its "
        "`channel`, or let the device sample it too"
    ),
    # sensors
    "sensor_fault.dead": (
        "{where}: gives no signal under wheels that other lines see, or none that fits them; check cable, amplifier "
        "and gain_n"
    ),
    "sensor_fault.noisy": "{where}: is far noisier than its fellows; check shielding, ground and plugs",
    "sensor_fault.saturated": (
        "{where}: stands at the end of its range, or reaches it under wheels; check its cable, lower the gain"
    ),
    "sensor_fault.stuck": "{where}: stays at one value; check cable and amplifier",
    "sensor_fault.reversed": (
        "{where}: swings the wrong way under wheels and is read reversed for now; swap its wires, or the sign of gain_n"
    ),
    "sensor_fault.misplaced": (
        "{where}: wheels come to the lines in another order than x_m says; exchange the cables, correct x_m or "
        "`channel`, or look whether traffic runs the other way; until then its vehicles are not to be used"
    ),
    "channels_swapped": (
        "{where}: axles lean to the other side here than at all other lines; the channels of its halves are most "
        "likely swapped: exchange their plugs, or their `channel` in the configuration"
    ),
    "line_drift": (
        "{where}: weighs {deviation_percent:+.1f} % against its neighbours; look at the pavement and the sensor, then "
        "weigh reference vehicles and run `borderflow calibrate`"
    ),
    "calibration_proposed": (
        "{where}: steering axles of {trucks} trucks weigh {seen_percent:+.1f} % (± {sigma_percent:.1f}) against what "
        "is usual; proposed: gains times {factor:.4f}; nothing changes before a person accepts it "
        "(`borderflow calibrate`)"
    ),
    "loop_chatter": (
        "{where}: comes and goes faster than vehicles can, so it is not counted; check the loop's cable and joints, "
        "and the detector's sensitivity"
    ),
    "loop_stuck.on_axles": "{where}: stays on while {passed} axles passed; reset its detector, then check the loop",
    "loop_stuck.off_axles": "{where}: stays off while {passed} axles passed; reset its detector, then check the loop",
    "loop_stuck.on_identities": (
        "{where}: stays on while {passed} vehicles with an identity passed; reset its detector, then check the loop"
    ),
    "loop_stuck.off_identities": (
        "{where}: stays off while {passed} vehicles with an identity passed; reset its detector, then check the loop"
    ),
    # readers
    "reader_silent.none": (
        "{where}: read none of the last {missed} vehicles although the loop counted them; check that it sees the lane "
        "(dirt, light, aim, antenna cable) and that it is switched on"
    ),
    "reader_silent.few": (
        "{where}: reads far fewer of the vehicles that the loop counts than it did; check that it sees the lane "
        "(dirt, light, aim, antenna cable) and that it is switched on"
    ),
    "identity_stuck": (
        "{where}: reads one and the same identity again and again ({reads} times after its vehicle had gone); look for "
        "a tag or plate left near it, else restart the reader"
    ),
    "identity_twice": (
        "{where}: an identity was read here and by {other} at the same time; lower the power or turn the antenna of "
        "the one that reads the other's vehicles"
    ),
    "reads_doubtful": (
        "{where}: is far less sure of what it reads than it was; clean it, check its light, aim and focus"
    ),
    "reader_time": (
        "{where}: a message came {step_s:+.0f} s off its usual time by the reader's own clock; if the clock was not "
        "set, messages are held up on the way: look at what stands between"
    ),
    # what a device says of itself
    "clock_unsynchronised": (
        "{where}: this computer's clock follows no reference, or is too far off; look at `chronyc sources`, at the "
        "GPS date"
    ),
    "gps_lost": "{where}: the GPS receiver has no fix; look at its antenna",
    "scale_overloaded": (
        "{where}: the scale says that its signal is out of range; look at what stands on it, then at load cells and "
        "cable"
    ),
    "scale_fault": (
        "{where}: the scale says that a sensor or its own memory is at fault; look at load cells, cable and its display"
    ),
    "reader_hot": "{where}: the reader is too hot and reads less; look at its ventilation and duty cycle",
    "antenna_fault": "{where}: the reader gets its own power back; look at antenna, cable and plugs",
    # this computer
    "clock_stepped.forward": (
        "the system clock went forward by {step_s:.0f} s; waits and flow begin anew; find out what set it"
    ),
    "clock_stepped.back": (
        "the system clock went back by {step_s:.0f} s; waits and flow begin anew; find out what set it"
    ),
    "clock_stepped.still": (
        "this computer stood still for {step_s:.0f} s; waits and flow begin anew; look at its load and disk"
    ),
    "journal_refused": "the journal takes no messages, which wait in memory: {reason}; look at the disk",
    "journal_corrupt": "the journal was damaged and a new epoch began: {reason}",
    "journal_set_aside": "the journal is of a newer borderflow, and a new epoch began: {reason}",
    "journal_shortened": "the journal lost its end and a new epoch began: {reason}",
    "journal_dropped": (
        "the journal was full: {count} messages were dropped before every collector had them: {topic} seq {from_seq} "
        "to {to_seq}; give [store] max_bytes more room, or mend the collector"
    ),
    "journal_damaged": (
        "{count} messages were changed on the disk, and are not sent: {topic} seq {from_seq} to {to_seq}; replace the "
        "disk before it dies"
    ),
    "waits_anew": "the waits began anew: {reason}",
    "upgrade_undone": "an upgrade was undone, and the version before it runs: {reason}",
    # collectors and the site's broker
    "collector_unreachable": "{where} cannot be reached; the journal keeps everything: {reason}",
    "collector_certificate": "{where}: a certificate is not accepted; the journal keeps everything: {reason}",
    "collector_configuration": "{where} cannot be used as configured; the journal keeps everything: {reason}",
    "collector_refused": "{where} refuses this computer; the journal keeps everything: {reason}",
    "collector_refuses_message": "{where} refuses messages, which wait in the journal: {reason}",
    "collector_size": "{where} takes no messages of that size, which wait in the journal: {reason}",
    "collector_quota": "{where} has no room left for this computer; the journal keeps everything: {reason}",
    "collector_protocol": "{where} does not speak as configured; the journal keeps everything: {reason}",
    "collector_unheard": "{where} acknowledges what nobody hears; the journal keeps it: {reason}",
    "collector_no_reader": "{where}: nobody reads at its broker: {reason}",
    "collector_no_replay": "{where} cannot ask for what it misses: {reason}",
    "duplicate_identity": "{where}: another computer seems to use the name of this one, and sending waits: {reason}",
    "identifiers_disclosed": "plates and tags go to {collector}, encrypted to its key {key}",
    "site_exchange_down": "{where} cannot be reached; waits across computers pause: {reason}",
    "site_exchange_refused": "{where} refuses this computer; waits across computers pause: {reason}",
    "site_exchange_unheard": "{where}: nobody matches what this computer sends: {reason}",
    "site_exchange_foreign": "{where}: what other computers of the site send cannot be opened: {reason}",
}  # fmt: skip
_UNKNOWN = "{where}: {reason}"  # a code that has no sentence yet


def text_of(code: str, args: Mapping[str, str | int | float], texts: Mapping[str, str] = TEXTS) -> str:
    """The text of an alarm that begins or holds; of one that ends where the args say how long it was (`held_s`)."""
    if "held_s" in args:
        template = texts["end.said" if "ended" in args else "end"]
    else:
        template = texts.get(f"{code}.{args.get('case')}") or texts.get(code, _UNKNOWN)
    where = ", ".join(texts[f"where.{part}"].format_map(args) for part in _WHERE if args.get(part) not in (None, ""))
    try:
        return template.format_map({"where": where or code, **args}).removeprefix(": ")
    except (KeyError, ValueError):  # what is missing must not take the alarm with it
        return ", ".join(f"{key} {value}" for key, value in {"code": code, **args}.items())
