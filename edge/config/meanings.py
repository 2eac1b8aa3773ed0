"""What each key of the configuration means, in one sentence, and what each table is.

Words of the JSON Schema and of docs/configuration.md, read by edge/contract/configuration.py alone. A test holds that
no key of edge/config/__init__.py is without its sentence.
"""

from __future__ import annotations

from typing import Final

# type of edge/config/__init__.py: (how its table is written in the file, what it is)
TABLES: Final[dict[str, tuple[str, str]]] = {
    "Site": ("[site]", "The crossing, and this computer's place in it."),
    "Lane": ("[[lane]]", "A lane; one table for each."),
    "Wim": ("[lane.wim]", "The weighing array of the lane above it."),
    "Sensor": ("[[lane.wim.sensor]]", "A strip, plate or loop of the array; one table for each."),
    "Scanner": ("[lane.wim.scanner]", "A laser scanner across the lane that tells vehicles apart where no loop lies."),
    "Device": ("[[device]]", "A device and where it stands; one table for each."),
    "Input": (
        "[[device.input]]",
        'What a digital input of the device above it means: a loop that counts vehicles, or a lamp that says "open".',
    ),
    "Point": ("[[point]]", "A place that vehicles pass; one table for each, in the order in which they pass them."),
    "PlateReader": (
        "[point.plates]",
        "How the plate readers at the point err; what is not given is usual, and learned while vehicles are matched.",
    ),
    "Waits": ("[wait]", "How waits are told."),
    "Identity": ("[identity]", "The secret behind the pseudonyms of plates and tags."),
    "SiteExchange": (
        "[site_exchange]",
        "Where the points of a crossing belong to several computers: one matches, the others send it what they read.",
    ),
    "Collector": ("[[collector]]", "A broker that messages go to; one table for each."),
    "Store": ("[store]", "The journal on the disk."),
    "EvidenceKey": (
        "[evidence]",
        "Signs the heads of the hash chains, so that a collector's copy can be proven whole.",
    ),
}

_BROKER: Final = {
    "ca_file": "certificate authority (PEM) that the broker's certificate must come from; else those of the system",
    "cert_file": "this computer's client certificate (PEM)",
    "key_file": "private key (PEM) of the client certificate",
    "username": "user name at the broker, where it wants one",
    "password_file": "file that holds the password",
    "protocol": "5: MQTT 5; 4: MQTT 3.1.1",
}

MEANINGS: Final[dict[str, dict[str, str]]] = {
    "Site": {
        "country": "country of the port, ISO 3166-1 alpha-2",
        "port": "the authority's own code of the port of entry; letters, digits, _ and - alone",
        "name": "name of the crossing for people",
        "timezone": "name of the time zone (IANA), for hours of the day",
        "location": 'the places on both sides as a public feed writes them, such as "Windsor, ON/Detroit, MI"',
        "hours": 'when it is open, in the words of a public feed, such as "24 hrs/day"',
        "source": "name of this computer in topics; else the common name of the first client certificate, else its own",
    },
    "Lane": {
        "id": "name of the lane in topics; letters, digits, _ and - alone",
        "traffic": "what kind of traffic it serves",
        "program": "the program of the travellers it serves",
        "direction": "`inbound`, `outbound`, or a name of the site's own",
        "booths": "booths that serve the lane when all are open",
        "wim": "the weighing array; without it nothing is weighed here",
    },
    "Wim": {
        "device": "name of the `[[device]]` that samples the array; not needed for `borderflow replay`",
        "sample_rate_hz": "scans a second",
        "mode": "how vehicles are cut apart: by a `loop`, a laser `scanner`, or by the `gap` between axles",
        "scanner": "the scanner of mode `scanner`",
        "temperature_c": "temperature of the sensors where none is measured",
        "temperature_device": "name of the `[[device]]` that measures the temperature of the pavement",
        "sensor": "the sensors of the array",
    },
    "Sensor": {
        "name": "name of the sensor in alarms",
        "type": "`strip`: sees part of the footprint at a time; `plate`: all of it; `loop`: whether a vehicle is there",
        "channel": "index in the scan of the device or in the recording, from 0",
        "x_m": "position of its centre along the direction of travel",
        "y_m": "the part of the lane's width that it covers, from the left edge; without it all of the width",
        "width_m": "extent along the direction of travel; of a loop its length",
        "gain_n": "newtons for one count at the reference temperature; a loop has none",
        "temp_coeff_per_c": "relative change of sensitivity (counts for a newton) for one kelvin",
        "reference_temperature_c": "temperature at which `gain_n` holds",
        "coupling_tau_s": "high-pass time constant of a charge amplifier; 0 for a DC-coupled sensor",
        "threshold_counts": "of a loop: above it a vehicle is over the loop",
        "angle_deg": "of a strip against the line across the lane; positive: its right end lies further along",
    },
    "Scanner": {
        "device": "name of the `[[device]]` that scans",
        "x_m": "position of its plane along the direction of travel",
    },
    "Device": {
        "name": "name of the device in alarms, logs and recordings",
        "driver": "name of a driver; `borderflow drivers` lists them",
        "url": "where the device is: tcp://, serial://, rfc2217://, … as the driver takes them",
        "lane": "lane that it belongs to",
        "point": "name of the `[[point]]` where it stands",
        "input": "what its digital inputs mean",
        "options": "options of the driver; `borderflow drivers NAME` lists them",
    },
    "Input": {
        "name": "name of the input, as in the driver's option `inputs`",
        "signal": "`loop`: each vehicle counts at the point; `booth_open`: the booth works while it is on",
        "lane": "lane that it belongs to; else that of the device",
        "point": "name of the `[[point]]` where the loop lies; else that of the device",
    },
    "Point": {
        "name": "name of the point; `wim` is the array, arriving at `booth` ends the wait, `exit` ends the crossing",
        "x_m": "position along the lane",
        "plates": "how the plate readers here err",
    },
    "PlateReader": {
        "error": "share of characters that are misread",
        "confusion": "by character the shares of its errors that are read as others, such as `{ 8 = { B = 0.7 } }`",
    },
    "Waits": {
        "interval_s": "interval of the `wait` messages",
        "baseline": "reference median of the wait by program, in s; `change` in `wait` messages compares with it",
    },
    "Identity": {
        "key_file": "file of the secret; all computers of a crossing share it; `borderflow key` makes one",
        "rotation": "how long a pseudonym stays the same, such as `24h` or `7d`",
    },
    "Collector": {
        "name": "name of the collector in alarms and in `status`",
        "url": "mqtts://host:8883, or mqtt://host:1883 on a network that is trusted",
        "share": "kinds of messages that it gets",
        "identifier_key_file": "X25519 public key (PEM) of an authority with the legal basis for plates and tags; goes "
        "with share `identifier`",
        **_BROKER,
    },
    "SiteExchange": {
        "role": "`match` on the one computer that tells the waits, `send` on the others",
        "url": "the site's own broker; never a collector's",
        **_BROKER,
    },
    "EvidenceKey": {
        "key_file": "Ed25519 private key (PEM) of this computer; `borderflow key` makes one",
        "interval_s": "how often the heads are signed and sent",
    },
    "Store": {
        "path": "directory of the journal",
        "max_bytes": "room that the journal may take; beyond it the oldest messages are dropped, an alarm says which",
    },
    "Config": {
        "site": TABLES["Site"][1],
        "lane": TABLES["Lane"][1],
        "device": TABLES["Device"][1],
        "point": TABLES["Point"][1],
        "wait": TABLES["Waits"][1],
        "identity": TABLES["Identity"][1],
        "site_exchange": TABLES["SiteExchange"][1],
        "collector": TABLES["Collector"][1],
        "store": TABLES["Store"][1],
        "evidence": TABLES["EvidenceKey"][1],
    },
}  # fmt: skip
