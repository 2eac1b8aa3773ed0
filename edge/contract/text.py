"""What each key of a message means, in one sentence: the words of the JSON Schemas and of docs/messages.md.

Read by edge/contract/schema.py alone. A test holds that no key of edge/messages.py is without its sentence.
"""

from __future__ import annotations

from typing import Final

from edge.messages import Flag

COMMON: Final = {
    "schema": "name and version of the message's schema",
    "id": "UUIDv7 of the message; the same when it is sent again",
    "epoch": "name of the journal that numbers the messages; changes only when the journal was lost and begins anew",
    "seq": "number of the message on its topic, up by one each time: a gap means loss, a repeat a duplicate",
    "time": "time of what the message speaks of, UTC",
    "site": "the port of entry",
    "lane": "lane, or _ for the whole crossing",
    "source": "computer that publishes, the common name of its client certificate",
    "config": "short digest of the configuration that the measurement was made with",
    "calibration": "short digest of the calibration that the measurement was made with",
}

# Of each flag what it means, and what the weight is good for and what to do.
FLAGS: Final[dict[Flag, tuple[str, str]]] = {
    "stopped_on_sensor": (
        "it stood on the array; what loads lost in certainty is in their sigma",
        "good within its sigma; nothing to do",
    ),
    "reversed": (
        "it rolled back over a line on the way",
        "good within its sigma; a few in a hundred have an axle too many or too few",
    ),
    "partial": (
        "a part of it missed the sensors, or was over them while nothing was measured",
        "not the whole vehicle: no use for enforcement. On all: a silent half, a wrong `y_m`, lines in the wrong order",
    ),
    "off_lane": (
        "wheels at the edge of the lane or beyond it",
        "may be too low, within its sigma. On all: a silent half (then with `sensor_fault`), a wrong `y_m`",
    ),
    "unequal_lines": (
        "lines disagree by more than their noise and the road explain",
        "good within its sigma. On many: a gain is off; the alarm `line_drift` names the line, then calibrate",
    ),
    "saturated": (
        "a sensor was at the end of its range",
        "weighed with the other sensors. On many: range of the digitiser, gain of the amplifier",
    ),
    "sensor_fault": (
        "a channel was out of order; it was weighed with the others",
        "good within its sigma, which is wider; the alarm of that name names the channel. Half the weight with "
        "`off_lane`, none with an axle above 40 t",
    ),
    "speed_change": (
        "it braked or accelerated much over the array",
        "gross weight is good, single axles within their sigma; nothing to do",
    ),
    "tailgating": (
        "it followed the vehicle before it within about a metre or a second, or the loop stayed busy",
        "good, where `cut_uncertain` does not stand beside it; nothing to do",
    ),
    "cut_uncertain": (
        "where it begins or ends could not be told for sure from its neighbours",
        "axles good; gross weight and class may be of two vehicles, or of a part of one: no use for enforcement. "
        "On many that drove alone: `x_m` of a line is wrong",
    ),
    "spacing_uncertain": (
        "it may have stood with no wheel on the array: a `position_sigma_m` above 0.5 m",
        "loads good; `wheelbase_m`, class and bridge formula less certain, `length_m` null",
    ),
}

MEANINGS: Final[dict[str, dict[str, str]]] = {
    "Site": {
        "country": "country of the port, ISO 3166-1 alpha-2",
        "port": "the authority's own code of the port of entry",
    },
    "Axle": {
        "position_m": "distance behind the first axle",
        "position_sigma_m": "standard deviation of `position_m`; large where it may have stood off the strips",
        "load_kg": "static load of the axle",
        "sigma_kg": "standard deviation of `load_kg`",
        "left_kg": "share of the left wheels; null where not known",
        "right_kg": "share of the right wheels; null where not known",
        "dual_tyres": "whether the axle has dual tyres; null where not known",
        "group": "index of the axle group, from 0 at the front",
    },
    "VehicleClass": {
        "scheme": "classification scheme: fhwa, eu or cost323",
        "code": "class in that scheme; 15 is unclassified in fhwa",
        "confidence": "probability that the true axles and loads, all of one vehicle, belong to the same class",
    },
    "Identity": {
        "medium": "how the identity was read",
        "pseudonym": "keyed hash of the identity, 128 bits in hexadecimal; changes with the rotation of the key",
    },
    "Violation": {
        "rule": "jurisdiction, limit and axles concerned",
        "limit_kg": "the limit",
        "value_kg": "what was measured",
        "probability": "probability that the true value is above the limit, given the sigma of the measurement",
    },
    "Vehicle": {
        "direction": "direction of the lane, as the configuration names it: `inbound` or `outbound`",
        "speed_mps": "mean speed over the array; null where not known",
        "length_m": "length of the vehicle; null without a loop that measures it",
        "wheelbase_m": "distance from the first to the last axle",
        "height_m": "greatest height, as a laser scanner saw it; null where it saw none, absent without one",
        "lateral_m": "how far right of the lane's middle it drove; null where strips at different angles do not tell",
        "gross_kg": "gross weight",
        "gross_sigma_kg": "standard deviation of `gross_kg`",
        "axles": "the axles in the order of arrival",
        "class": "vehicle class",
        "flags": "what was unusual about the measurement; absent means nothing",
        "identities": "pseudonyms read together with the vehicle",
        "violations": "weight limits that were exceeded",
        "esal": "equivalent standard axle loads of the vehicle (AASHTO, flexible pavement); null where not known",
    },
    "Sighting": {
        "point": "point of the lane where the identity was read",
        "medium": "how the identity was read",
        "pseudonym": "keyed hash of the identity, 128 bits in hexadecimal; changes with the rotation of the key",
        "confidence": "confidence of the reader, 0 to 1; null where it gives none",
    },
    "Experienced": {
        "count": "vehicles that arrived at `to_point` in the interval with a known wait",
        "median_s": "median wait; null where none is known",
        "p10_s": "10th percentile of the waits; null where none is known",
        "p90_s": "90th percentile of the waits; null where none is known",
        "p95_s": "95th percentile of the waits; null where none is known",
    },
    "Bottleneck": {
        "from_point": "first point of the pair with the largest delay",
        "to_point": "second point of the pair",
        "delay_s": "delay between the two points",
        "share": "its share of the whole delay, 0 to 1",
    },
    "Wait": {
        "direction": "direction of the lanes: a wait is about one direction and one kind of traffic",
        "traffic": "kind of traffic of the lanes",
        "program": "program of the lanes; null for all of that direction and traffic together",
        "from_point": "where the wait begins",
        "to_point": "where the wait ends",
        "interval_s": "length of the interval that ends at `time`",
        "experienced": "waits of the vehicles that arrived in the interval",
        "expected_s": "what a vehicle that joins the queue at `time` is going to wait; null where not known",
        "low_s": "lower end of the 80 % interval of `expected_s`; null where not known",
        "high_s": "upper end of the 80 % interval of `expected_s`; null where not known",
        "queue_vehicles": "vehicles between the two points; null where not known",
        "throughput_per_h": "rate at which vehicles were served in the last 15 minutes; null where not known",
        "lower_bound": "true when the queue reaches beyond `from_point`, so that the true wait is longer",
        "method": (
            "`matched`: from identities; `counted`: from counts, none was read in the last hour; `fused`: from both. "
            "`no_point`, `one_point`, `side_road`: why no wait can be told at this place; null where nothing is known "
            "yet, or at present"
        ),
        "match_rate": (
            "share of the last 100 arrivals with an identity that were matched, 0 to 1; null where none was read"
        ),
        "reference_s": "baseline of the authority for that program (`[wait] baseline`); null where none is set",
        "change": (
            "`experienced.median_s` against `reference_s` in per cent, -25.0 for a quarter shorter; null where not "
            "known"
        ),
        "bottleneck": "pair of points with the largest delay; null where not known",
        "one_more_booth_s": (
            "what `expected_s` would be if one more booth opened at `time`; for a program and the crossing, in the "
            "lane where that helps most; null where not known"
        ),
        "planning_time_s": "95th percentile of the waits of the last hour (FHWA planning time); null where not known",
        "planning_time_index": "`planning_time_s` as a multiple of `reference_s`; null where not known",
        "buffer_index": (
            "how far `planning_time_s` lies above the mean of the last hour, in per cent of that mean (FHWA); null "
            "where not known"
        ),
        "gain_s": (
            "by how much the median wait of the last hour is shorter than that of the standard program; null for that "
            "program and where not known"
        ),
        "booths_open": "booths that are open; null where it was never said whether they are",
    },
    "Distribution": {
        "mean": "mean",
        "sd": "standard deviation; null for a single value",
        "p15": "15th percentile",
        "p50": "median",
        "p85": "85th percentile",
    },
    "Flow": {
        "direction": "direction of the lane",
        "traffic": "kind of traffic of the lane",
        "interval_s": "length of the interval that ends at `time`",
        "point": "point of the lane where the vehicles were counted",
        "count": "vehicles in the interval",
        "count_by_class": "vehicles by class",
        "speed_mps": "speeds; null without vehicles",
        "headway_s": "times between the fronts of following vehicles; null without any",
        "gross_kg_by_class": "sum of the gross weights by class",
        "occupancy": "share of the interval in which a vehicle was over the point, 0 to 1; null where not known",
        "identified_share": "share of the vehicles with an identity, 0 to 1; null where not known",
    },
    "Alarm": {
        "code": "condition, for programs",
        "state": "whether the condition begins or ends",
        "severity": "how urgent it is",
        "text": "condition and remedy, for people; made of `code` and `args`",
        "args": "what `text` is made of, so that it can be said in another language",
        "device": "device concerned; null for other conditions",
        "sensor": "sensor or input of that device; left out where the condition is none of one of them",
        "gap": "messages that are gone: dropped before every collector had them (`journal_dropped`), or changed on the "
        "disk (`journal_damaged`)",
    },
    "Gap": {
        "topic": "topic of the messages",
        "epoch": "epoch of the messages",
        "from_seq": "number of the first one that is gone",
        "to_seq": "number of the last one that is gone",
        "count": "how many are gone; fewer than the numbers in between where some had been delivered",
        "link_before": "hash chain before the first of them, as in `evidence`: what came before can be proven",
        "link_after": "hash chain after the last of them: what came after can be proven",
    },
    "ActiveAlarm": {
        "code": "condition, for programs",
        "severity": "how urgent it is",
        "since": "time at which the condition began, UTC",
        "lane": "lane, or _ for the whole crossing",
        "device": "device concerned; null for other conditions",
        "sensor": "sensor or input of that device; left out where the condition is none of one of them",
        "text": "condition and remedy, for people; what is known by now",
        "args": "what `text` is made of, so that it can be said in another language",
    },
    "DeviceStatus": {
        "state": "state of the device",
        "since": "time at which the state began, UTC",
        "text": "what went wrong; empty while nothing did",
        "rejected": "input that was refused since the start, counted by reason",
    },
    "Backlog": {
        "messages": "messages that the collector has not acknowledged",
        "oldest": "time of the oldest of them, UTC; null without any",
    },
    "CollectorStatus": {
        "state": "state of the connection",
        "text": "what went wrong, or what stands against a proof that it hears; empty while nothing does",
        "heard": "how it is known that what it acknowledges is taken: `by_code` (MQTT 5 says so), `proven` (MQTT "
        "3.1.1: the status of this computer came back), `not_proven` (it cannot be read back), `unheard` (it did "
        "not come back)",
        "replay": "whether it lets requests for replay be read; null where that is not known",
    },
    "Status": {
        "online": "false in the last will and after an orderly stop",
        "since": "time at which this state began, UTC",
        "version": "version of the software",
        "devices": "state of each device",
        "backlog": "what each collector has not acknowledged",
        "collectors": "the connection to each collector",
        "alarms": (
            "every condition that holds, or held when the service was stopped; left out in the last will, where nobody "
            "knows"
        ),
        "cause": "why it is offline, or what it suffers from (`disk_full`, `disk`: the journal takes nothing); "
        "null where not known",
        "timezone": "time zone of the crossing (IANA), by which its days and hours are counted",
        "site_name": "name of the crossing",
        "replay_from": "first `seq` of this epoch that can still be asked for again, by LANE/KIND; 1 where none is "
        "named",
    },
    "Identifier": {
        "point": "point at which it was read",
        "medium": "rfid or plate",
        "pseudonym": "the pseudonym of the same sighting",
        "key": "name of the public key it is sealed to: the first 32 hex digits of the SHA-256 of the raw key",
        "sealed": "HPKE (RFC 9180: X25519, HKDF-SHA-256, ChaCha20-Poly1305) of the identifier in base64",
    },
    "Head": {
        "topic": "topic of the chain",
        "epoch": "epoch of the chain",
        "seq": "number of the last message that the link covers",
        "link": "SHA-256 in hex: over the link before and the bytes of the message, from the first message on",
    },
    "Evidence": {
        "heads": "last link of the hash chain of every topic of the computer",
        "key": "name of the signing key: the first 32 hex digits of the SHA-256 of the raw public key",
        "signature": "Ed25519 signature of the heads in hex",
    },
    "Exchange": {
        "period": "number of the rotation period since 1970 whose key sealed it",
        "sealed": "nonce and sightings under ChaCha20-Poly1305 with the site's key, base64; plates and tags are tokens",
    },
    "ReplayRequest": {
        "topic": "topic of the missing messages",
        "epoch": "epoch of the missing messages",
        "from_seq": "number of the first message wanted",
        "to_seq": "number of the last message wanted",
    },
}

UNITS: Final = {
    "_mps": "m/s",
    "_kmh": "km/h",
    "_kg": "kg",
    "_hz": "Hz",
    "_per_h": "1/h",
    "_m": "m",
    "_s": "s",
    "_n": "N",
    "_c": "°C",
}


def unit_of(key: str) -> str:
    """Unit that stands in a key, empty for none: `kg` of `gross_kg_by_class` and of `load_kg`."""
    name = key.removesuffix("_by_class")
    return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")
