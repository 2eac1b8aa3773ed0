"""Where readers that speak JSON put what they read: a table, each with its source. drivers/json_events.py reads by it.

A path is keys with dots between them; a number picks of a list; a path that begins with "/" starts at the document,
any other at the read (see `each`); "base64:" before a path says how the tag is written there. Of several paths the
first counts at which there is something. What is only recalled, or made by a template that users change, is named as
unconfirmed.
"""

from __future__ import annotations

from dataclasses import dataclass

Paths = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A maker's way to write. `source` says where that is known from, and what is unconfirmed."""

    source: str
    each: str = ""  # the list of reads within a document; empty: the document is one
    only: tuple[str, Paths] | None = (
        None  # a path, and the values there that say "this is a read"; others: signs of life
    )
    plate: Paths = ()
    tag: Paths = ()
    country: Paths = ()
    confidence: Paths = ()
    confidence_full: float = 100.0  # the value that means certain
    time: Paths = ()
    identity: Paths = ()  # of the event, for one that comes again
    antenna: Paths = ()
    rssi: Paths = ()
    rssi_unit_db: float = 1.0
    car: Paths = ()  # identity of a vehicle that several events are about, of which the last counts
    state: Paths = ()  # of such an event
    first: Paths = ()  # values of `state` with which a vehicle comes
    last: Paths = ()  # values of `state` after which no event of that vehicle comes
    instead: Preset | None = None  # what the maker's other readers send: it counts until one of these came
    stream: str = "/"  # what a reader that is asked for a stream calls it


PRESETS: dict[str, Preset] = {
    "axis_lpv": Preset(
        source="AXIS License Plate Verifier API (developer.axis.com/vapix/applications/license-plate-verifier-api) for "
        "the life of a car: new, update, lost some 10 s after the last read; an event in full in the comment of a "
        "parking server's parser (public code, 2019): all values are text, confidence 0..1, datetime without a zone",
        plate=("plateUTF8", "plateText", "plateASCII"),
        country=("plateCountry",),
        confidence=("plateConfidence",),
        confidence_full=1.0,
        time=("capture_timestamp", "datetime"),
        car=("carID",),
        state=("carState",),
        first=("new",),
        last=("lost",),
    ),
    "milesight": Preset(
        source="the parsers of Milesight posts in two public projects (ex_nvr; an LPR webhook in Next.js); a sample of "
        "the maker was not found. Unconfirmed: that confidence is per cent, and that region is the country",
        plate=("plate",),
        country=("region",),
        confidence=("confidence",),
        time=("time_msec", "time"),
    ),
    "platerecognizer_stream": Preset(
        source="guides.platerecognizer.com/docs/stream/results and a recorded webhook (gist danleyb2/6d2220c1); the "
        "document is the part `json` of a multipart post where pictures are sent. Unconfirmed: plate.props",
        each="data.results",
        only=("/hook.event", ("recognition", "")),
        plate=("plate", "plate.props.plate.0.value"),
        country=("region.code", "plate.props.region.0.value"),
        confidence=("score", "plate.props.plate.0.score"),
        confidence_full=1.0,
        time=("/data.timestamp",),
    ),
    "rekor": Preset(
        source="OpenALPR agent documentation (alpr_group, alpr_results, heartbeat, with samples). A group is one "
        "vehicle; its single results and alerts say it again and are left out. The open alprd knows no groups: its "
        "results count until a group came",
        instead=Preset(
            source="as above",
            each="results",
            only=("/data_type", ("alpr_results",)),
            plate=("plate",),
            country=("region",),
            confidence=("confidence",),
            time=("/epoch_time",),
        ),
        only=("data_type", ("alpr_group",)),
        plate=("best_plate_number", "best_plate.plate"),
        country=("best_region", "country"),
        confidence=("best_confidence",),
        time=("epoch_start",),
        identity=("best_uuid",),
    ),
    "vaxtor": Preset(
        source="the variables $plate$, $country$, $confidence$ (0..100), $date$ of VaxALPR (community.mobotix.com "
        "4671). The JSON around them is a template that the user writes: unconfirmed; name the fields like them",
        plate=("plateutf8", "plate"),
        country=("country",),
        confidence=("confidence",),
        time=("date",),
        identity=("id",),
    ),
    "hikvision": Preset(
        source="parts of alertStream and posts in JSON in public code (2024, 2026); fields as in the XML of ISAPI. "
        "Unconfirmed on hardware: which firmware writes `confidence` instead of `confidenceLevel`",
        only=("eventType", ("ANPR",)),
        plate=("ANPR.licensePlate", "ANPR.originalLicensePlate"),
        country=("ANPR.country",),
        confidence=("ANPR.confidenceLevel", "ANPR.confidence"),
        time=("dateTime",),
        identity=("UUID",),
    ),
    "impinj_r700": Preset(
        source="Impinj's sample of the HTTP stream (platform.impinj.com, 2021) and receivers of its webhook in public "
        "code (barnowl-impinj, smartx-rfid): an event a line in the stream, an array of events in a post, MQTT as the "
        "stream. Older firmware has no eventType; epc without Hex is base64",
        only=("eventType", ("tagInventory", "")),
        tag=("tagInventoryEvent.epcHex", "base64:tagInventoryEvent.epc"),
        time=("tagInventoryEvent.lastSeenTime", "timestamp"),
        antenna=("tagInventoryEvent.antennaPort",),
        rssi=("tagInventoryEvent.peakRssiCdbm",),
        rssi_unit_db=0.01,
        stream="/api/v1/data/stream",
    ),
    "zebra_iotc": Preset(
        source="receivers of the Zebra IoT Connector in public code (barnowl-zebra, ZebraDevs/RFID_ZIOTC_Examples): "
        "documents follow each other with nothing between them. Unconfirmed: the list data.tags of some modes. A "
        "heartbeat or another event of its own has an eventType, a tag has none",
        only=("eventType", ("",)),
        tag=("data.idHex", "idHex"),
        time=("data.timestamp", "timestamp"),
        antenna=("data.antenna", "antenna"),
        rssi=("data.peakRssi", "peakRssi"),
    ),
    "custom": Preset(source="the option `fields`"),
}
