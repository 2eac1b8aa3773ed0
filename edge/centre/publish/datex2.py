"""One local day as DATEX II: waits as travel times, weighed vehicles as individual vehicle data. XML and JSON.

Names and their order are those of the schemas of DATEX II 3.5 (namespaces roadTrafficData and common); the XML of this
file was validated against them. One tree makes both forms. The JSON follows the mapping of DATEX II's own JSON schemas
of 3.5 (`roaMeasuredDataPublication`, `{"value": …}` for a word of a list, `idG` for an attribute); of the part for
traffic data no JSON schema was to be had, so there the form of `indexG` is by analogy and not confirmed.

A site is a lane, or `_` for the whole crossing. The expected wait is a travel time of type `predictor`, the experienced
one `reconstituted`; where nothing is known a fault says so, and no number. There is no plate and no pseudonym.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from edge.centre.publish.day import SiteDay, Weighed
from edge.centre.publish.tables import LEAST_COUNT
from edge.messages import parse_utc, utc_text

VERSION = "3.5"
_SPACES = {
    "com": "http://datex2.eu/schema/3/common",
    "d2": "http://datex2.eu/schema/3/d2Payload",
    "roa": "http://datex2.eu/schema/3/roadTrafficData",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_VEHICLES = {"commercial": "heavyGoodsVehicle", "passenger": "car", "bus": "bus"}
_WAIT = (
    "direction", "traffic", "program", "from_point", "to_point", "experienced_count", "experienced_median_s",
    "expected_s",
)  # fmt: skip

Form = Literal["xml", "json"]


@dataclass(slots=True)  # frozen costs half the time of a day with a million of them
class Node:
    """An element `prefix:name`: a value or children; `type` is the concrete type of an abstract one, `word` one of a
    list of words, `many` an element that may come several times."""

    name: str  # with its prefix, `roa:speed`
    value: str | float | int | None = None
    children: tuple[Node, ...] = ()
    type: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    word: bool = False
    many: bool = False


def write(days: Sequence[SiteDay], out: Path) -> Iterator[Path]:
    """Two files a crossing, the same in both forms; gives the paths. A publication without a measurement is none."""
    for day in days:
        sites = _sites(day)
        first = next(sites, None)
        if first is None:
            continue
        base = out / f"datex2_{day.site.country}_{day.site.port}_{day.day.isoformat()}"
        paths = base.with_name(f"{base.name}.xml"), base.with_name(f"{base.name}.json")
        heads = [text.partition(_SITES_HERE) for text in (xml(_head(day)), json_text(_head(day)))]
        with paths[0].open("w", encoding="utf-8") as as_xml, paths[1].open("w", encoding="utf-8") as as_json:
            as_xml.write(heads[0][0].removesuffix("<roa:siteMeasurements>"))
            as_json.write(heads[1][0].removesuffix('"'))
            for n, site in enumerate(chain([first], sites)):
                parts: list[str] = []
                _xml(site, parts)
                as_xml.write("".join(parts))
                as_json.write(("," if n else "") + msgspec.json.encode(_json(site)).decode())
            as_xml.write(heads[0][2].removeprefix("</roa:siteMeasurements>"))
            as_json.write(heads[1][2].removeprefix('"'))
        yield from paths


_SITES_HERE = "sites-here"  # stands in the head where the sites go: a day of them is written one by one


def _head(day: SiteDay) -> Node:
    """All but the sites; its time of publication is the end of the day, the same at each run."""
    site = day.site
    table = {"id": f"{site.country}-{site.port}", "version": "1", "targetClass": "roa:MeasurementSiteTable"}
    creator = (Node("com:country", site.country.lower()), Node("com:nationalIdentifier", site.port))
    children = (
        Node("com:publicationTime", utc_text(day.end_ns)),
        Node("com:publicationCreator", children=creator),
        Node("roa:measurementSiteTableReference", attributes=table, many=True),
        Node("roa:headerInformation", children=(Node("com:informationStatus", "real", word=True),)),
        Node("roa:siteMeasurements", _SITES_HERE, many=True),
    )
    attributes = {"lang": "en", "modelBaseVersion": "3"}
    return Node("d2:payload", children=children, type="roa:MeasuredDataPublication", attributes=attributes)


def _sites(day: SiteDay) -> Iterator[Node]:
    yield from _waits(day)
    for vehicle in day.vehicles:
        yield _vehicle(day, vehicle)


# Waits


def _waits(day: SiteDay) -> Iterator[Node]:
    for row in day.rows("wait", _WAIT):
        few = (row["experienced_count"] or 0) < LEAST_COUNT
        experienced_s, at = None if few else row["experienced_median_s"], utc_text(parse_utc(row["time"]))
        quantities = (
            _travel("predictor", row["expected_s"], row["traffic"], at),
            _travel("reconstituted", experienced_s, row["traffic"], at),
        )
        parts = (row["lane"], row["direction"], row["traffic"], row["program"])
        yield _site(day, "-".join(part for part in parts if part), at, quantities)


_KINDS = {kind: Node("roa:travelTimeType", kind, word=True) for kind in ("predictor", "reconstituted")}
_VEHICLE_TYPES = {
    traffic: (Node("roa:vehicleType", word, word=True, many=True),) for traffic, word in _VEHICLES.items()
}
_NO_DATA = Node("roa:physicalQuantityFaultType", "noDataValuesAvailable", word=True)


def _travel(kind: str, seconds: float | None, traffic: str | None, at: str) -> tuple[Node, ...]:
    """A travel time, or the fault that there is none."""
    if seconds is None:
        return (
            Node(
                "roa:physicalQuantityFault",
                children=(Node("com:faultLastUpdateTime", at), _NO_DATA),
                many=True,
            ),
        )
    time = Node("roa:travelTime", children=(Node("roa:duration", round(seconds, 1)),))
    vehicles = _VEHICLE_TYPES.get(traffic or "", ())
    return (Node("roa:basicData", children=(_KINDS[kind], *vehicles, time), type="roa:TravelTimeData"),)


# Vehicles


def _vehicle(day: SiteDay, vehicle: Weighed) -> Node:
    at = utc_text(vehicle.time_ns)
    children = [Node("roa:arrivalTime", at)]
    if vehicle.speed_mps is not None:
        children.append(Node("roa:speed", round(vehicle.speed_mps * 3.6, 1)))
    children.append(Node("roa:individualVehicle", children=tuple(_body(vehicle))))
    data = Node("roa:basicData", children=tuple(children), type="roa:IndividualVehicleDataValues")
    return _site(day, vehicle.lane, at, ((data,),))


_EQUAL_TO = Node("com:comparisonOperator", "equalTo", word=True)
_ACTUAL = Node("com:typeOfWeight", "actual", word=True)


def _body(vehicle: Weighed) -> Iterator[Node]:
    """Weights in tonnes, spacings in metres, counted from the front from 1."""
    weight = (_EQUAL_TO, Node("com:grossVehicleWeight", round(vehicle.gross_kg / 1000, 3)), _ACTUAL)
    count = (_EQUAL_TO, Node("com:numberOfAxles", len(vehicle.axles)))
    yield Node(
        "com:vehicleCharacteristics",
        children=(
            Node("com:grossWeightCharacteristic", children=weight, many=True),
            Node("com:numberOfAxlesCharacteristic", children=count, many=True),
        ),
    )
    places_m = [position_m for position_m, _, _ in vehicle.axles]
    for n, (before_m, here_m) in enumerate(pairwise(places_m), 1):
        spacing = (
            Node("com:axleSpacing", round(here_m - before_m, 3)),
            Node("com:axleSpacingSequenceIdentifier", n),
        )
        yield Node("com:axleSpacingOnVehicle", children=spacing, many=True)
    for n, (_, load_kg, _) in enumerate(vehicle.axles, 1):
        axle = (Node("com:axlePositionIdentifier", n), Node("com:axleWeight", round(load_kg / 1000, 3)))
        yield Node("com:specificAxleWeight", children=axle, many=True)


def _site(day: SiteDay, name: str, time: str, quantities: Sequence[tuple[Node, ...]]) -> Node:
    """What was measured at one site at one time."""
    reference = {
        "id": f"{day.site.country}-{day.site.port}-{name}",
        "version": "1",
        "targetClass": "roa:MeasurementSite",
    }
    indexed = (
        Node(
            "roa:physicalQuantity",
            children=(Node("roa:physicalQuantity", children=children, type="roa:SinglePhysicalQuantity"),),
            attributes={"index": str(n)},
            many=True,
        )
        for n, children in enumerate(quantities, 1)
    )
    return Node(
        "roa:siteMeasurements",
        children=(
            Node("roa:measurementSiteReference", attributes=reference),
            *indexed,
            Node("roa:measurementTimeDefault", children=(Node("roa:timeValue", time),)),
        ),
        many=True,
    )


# The two forms


def xml(tree: Node) -> str:
    """As the XML schemas have it."""
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in sorted(_SPACES.items()))
    parts: list[str] = []
    _xml(tree, parts, spaces)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{"".join(parts)}\n'


def _xml(node: Node, parts: list[str], more: str = "") -> None:
    name, value = node.name, node.value
    head = name
    if more or node.type or node.attributes:
        head += f" {more}" if more else ""
        head += f' xsi:type="{node.type}"' if node.type else ""
        head += "".join(f" {key}={quoteattr(_printable(text))}" for key, text in node.attributes.items())
    if value is not None:
        parts.append(f"<{head}>{escape(_printable(value)) if isinstance(value, str) else value}</{name}>")
    elif node.children:
        parts.append(f"<{head}>")
        for child in node.children:
            _xml(child, parts)
        parts.append(f"</{name}>")
    else:
        parts.append(f"<{head}/>")


_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _printable(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def json_text(tree: Node) -> str:
    """As the JSON schemas have it."""
    inside = _object(tree)
    inside.pop("modelBaseVersionG")
    whole = {"payload": {"versionG": VERSION, "modelBaseVersionG": "3", _key(tree.type): inside}}
    return msgspec.json.encode(whole).decode() + "\n"


def _object(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if node.attributes:
        for name, value in node.attributes.items():
            if name != "targetClass":
                made[name if name == "lang" else f"{name}G"] = value
    for child in node.children:
        name = child.name.partition(":")[2]
        if child.many:
            made.setdefault(name, []).append(_json(child))
        else:
            made[name] = _json(child)
    return made


def _json(node: Node) -> Any:
    if node.value is not None:
        return {"value": node.value} if node.word else node.value
    inside = _object(node)
    return {_key(node.type): inside} if node.type else inside


def _key(type_: str) -> str:
    """`roaTravelTimeData` of `roa:TravelTimeData`."""
    return type_.replace(":", "")
