"""What a document of a Hikvision camera says: an EventNotificationAlert in XML or JSON to a plate. No I/O.

    <EventNotificationAlert xmlns=".."> <eventType>ANPR</eventType> <dateTime>2026-11-24T05:22:17+02:00</dateTime>
      <ANPR> <licensePlate>46HVR9</licensePlate> <country>24</country> <confidenceLevel>97</confidenceLevel> </ANPR>
      <UUID>..</UUID> </EventNotificationAlert>

JSON has the same names, perhaps under "EventNotificationAlert". A field at the side never costs the plate. What is odd
is named (`odd_...`, and counted by the driver) and passed over:

- `odd_bytes`: bytes that are not of the encoding that the document declares (UTF-8 at first).
- `odd_xml`, `odd_json`: a channel's name with a bare "&" or "<", a control character, an end that is missing
  (toxuin/alarmserver issue 34, home-assistant core issue 26596). What can be repaired is; else names are looked for.
- `odd_time`: a zone without a sign or none at all, another order, a clock that was never set. Without `camera_time` it
  only leaves `reader_ns` out; with it the time of arrival stands.
- `odd_score`: a confidence that is none.

Called by drivers/hikvision_isapi.py. Source: ISAPI examples in public code. Unconfirmed on hardware: confidence in 0..1
(taken for that where it has a decimal point and is at most 1).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

from drivers.base import ProtocolError
from drivers.events import PlateRead
from drivers.plates import Plates, confidence_of

_MOST_BYTES = 262_144
_MOST_TEXT = 1024  # of a field
_NAMES = ("eventType", "dateTime", "licensePlate", "country", "confidenceLevel", "UUID")
_DOCTYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)  # entities that grow
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}encoding\s*=\s*["']([A-Za-z0-9._-]{1,20})["']""")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_BEGIN = re.compile(r"<(?:\w{1,20}:)?EventNotificationAlert")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
_BARE_LESS = re.compile(r"<(?![A-Za-z_/!?])")
_NO_XML_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_STAMP = re.compile(
    r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)[T\s]+(\d\d):?(\d\d):?(\d\d)(?:[.,]\d{1,9})?\s*(Z|[+-]?\d{1,2}(?::?\d\d)?)?"
)
_DAY_NS = 86_400_000_000_000
_OLDEST_NS, _FUTURE_NS = 30 * _DAY_NS, 60_000_000_000  # against the arrival, of a clock that is kept by NTP


@dataclass(frozen=True, slots=True)
class Alert:
    """A document: the plate, where it says one; the identity of its event; what was odd about it."""

    read: PlateRead | None
    identity: str
    odd: tuple[str, ...] = ()


def read_alert(document: bytes, device: str, time_ns: int, plates: Plates, *, camera_time: bool = False) -> Alert:
    """Raises ProtocolError where there is no alert, or what stands in the place of the plate is none."""
    odd: list[str] = []
    alert = _parsed(document, odd)
    identity = _text(alert.get("UUID"))[:64]
    anpr, kind = alert.get("ANPR"), _text(alert.get("eventType")).upper()
    if kind not in ("ANPR", ""):
        return Alert(None, identity, tuple(odd))
    if not isinstance(anpr, dict) or "licensePlate" not in anpr:
        if kind:
            raise ProtocolError("no_plate", "no ANPR part")
        return Alert(None, identity, tuple(odd))
    plate = plates.read(_text(anpr["licensePlate"]))
    if plate is None:
        return Alert(None, identity, tuple(odd))
    said = _text(alert.get("dateTime"))
    reader_ns, zoned = stamp_ns(said)
    usable = zoned and reader_ns is not None and -_FUTURE_NS <= time_ns - reader_ns <= _OLDEST_NS
    if said and (not zoned or (camera_time and not usable)):
        odd.append("odd_time")
    if camera_time and usable:
        assert reader_ns is not None
        time_ns = reader_ns
    country = _text(anpr.get("country"))[:32] or None
    confidence = None
    try:
        confidence = confidence_of(_text(anpr.get("confidenceLevel")))
    except ProtocolError as error:
        odd.append(error.reason)
    return Alert(PlateRead(device, time_ns, plate, country, confidence, reader_ns), identity, tuple(odd))


def is_alert(document: bytes) -> bool:
    """Whether it may be one: XML, or a JSON object."""
    return document.lstrip(b"\xef\xbb\xbf\r\n\t \0")[:1] in (b"<", b"{") or b"<EventNotificationAlert" in document


def _parsed(document: bytes, odd: list[str]) -> dict[str, Any]:
    if len(document) > _MOST_BYTES:
        raise ProtocolError("bad_xml", "the document is too long")
    text = _decoded(document, odd)
    if text.startswith("{"):
        return _from_json(text, odd)
    if _DOCTYPE.search(text):
        raise ProtocolError("bad_xml", "the XML has a document type")
    return _from_xml(text, odd)


def _decoded(document: bytes, odd: list[str]) -> str:
    declared = _DECLARED.search(document)
    try:
        name = codecs.lookup(declared[1].decode("ascii") if declared is not None else "utf-8").name
        text = document.decode(name)
    except (LookupError, UnicodeError):
        text = document.decode("utf-8", "replace")
        odd.append("odd_bytes")
    return text.strip("\ufeff\r\n\t \0")


def _from_xml(text: str, odd: list[str]) -> dict[str, Any]:
    begin, end = _BEGIN.search(text), text.rfind("EventNotificationAlert>")
    whole = text[begin.start() if begin is not None else 0 : end + 23 if end > 0 else len(text)]
    try:
        return _tree(ElementTree.fromstring(_DECLARATION.sub("", whole)))
    except (ElementTree.ParseError, ValueError, RecursionError):
        pass
    whole = _NO_XML_CHARACTER.sub("\ufffd", _BARE_LESS.sub("&lt;", _BARE_AMPERSAND.sub("&amp;", whole)))
    try:
        alert = _tree(ElementTree.fromstring(_DECLARATION.sub("", whole)))
    except (ElementTree.ParseError, ValueError, RecursionError):
        alert = _named(
            whole, lambda name: re.compile(rf"<(?:\w{{1,20}}:)?{name}(?:\s[^<>]*)?>([^<]{{0,{_MOST_TEXT}}})<")
        )
        if not alert:
            raise ProtocolError("bad_xml", "the XML cannot be parsed") from None
    odd.append("odd_xml")
    return alert


def _from_json(text: str, odd: list[str]) -> dict[str, Any]:
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        found = _named(text, lambda name: re.compile(rf'"{name}"\s{{0,9}}:\s{{0,9}}"?([^"\n,}}]{{0,{_MOST_TEXT}}})'))
        if not found:
            raise ProtocolError("bad_json", "the JSON cannot be parsed") from None
        odd.append("odd_json")
    inner = found.get("EventNotificationAlert", found)
    return inner if isinstance(inner, dict) else found


def _named(text: str, pattern_of: Callable[[str], re.Pattern[str]]) -> dict[str, Any]:
    """The fields that are looked for by name where a document cannot be parsed; empty without a plate or a type."""
    found = {name: match[1] for name in _NAMES if (match := pattern_of(name).search(text)) is not None}
    if "licensePlate" in found:
        found["ANPR"] = {name: found[name] for name in ("licensePlate", "country", "confidenceLevel") if name in found}
    return found if "ANPR" in found or "eventType" in found else {}


def _tree(element: ElementTree.Element) -> dict[str, Any]:
    """An element and its children as nested names without namespaces; two levels are all that is looked at."""
    return {name: dict(_children(child)) or child.text for name, child in _children_elements(element)}


def _children(element: ElementTree.Element) -> Iterator[tuple[str, str | None]]:
    for name, child in _children_elements(element):
        yield name, child.text


def _children_elements(element: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    seen = set()
    for child in element:
        name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if name and name not in seen:  # the first of a name counts
            seen.add(name)
            yield name, child


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)[:_MOST_TEXT].strip()


def stamp_ns(text: str) -> tuple[int | None, bool]:
    """What a date and time say, None where they are none; and whether they say their zone.

    Without a zone, or where it has no sign, they are taken for UTC.
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        return None, False
    zone = match[7] or ""
    signed = zone[:1] in ("Z", "+", "-") and zone != ""
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_offset(zone) if signed else UTC)
    except ValueError:
        return None, False
    fraction = re.search(r"[.,](\d{1,9})", text)
    nanoseconds = int(fraction[1].ljust(9, "0")) if fraction is not None else 0
    return round(moment.timestamp()) * 1_000_000_000 + nanoseconds, signed


def _offset(zone: str) -> timezone:
    if zone == "Z":
        return UTC
    hours, _, minutes = zone[1:].partition(":")
    if not minutes and len(hours) > 2:
        hours, minutes = hours[:-2], hours[-2:]
    span = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-span if zone[0] == "-" else span)
