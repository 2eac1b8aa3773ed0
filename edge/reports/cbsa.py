"""Waits in the shape of CBSA's public files (www.cbsa-asfc.gc.ca/bwt-taf/bwt-eng.csv, bwt-fra.csv): a line for each
office, in English or in French.

Fields end with `;;` and a space, the text begins with a byte order mark. A value is `No Delay`, `1 minute`,
`N minutes`, `Closed`, `Not Applicable` where there is no such lane, or `--` where nothing is known; in French `Aucun
délai`, `Fermé`, `Ne s'applique pas`. Heads and words are those of both files on 2026-10-03, as MapleStats' tests quote
them; places are not translated there, time zones are (`EDT` is `HAE`). The file has one
value for each direction and kind of traffic: that of the standard lanes, or where there are none, of the others.
Called by `edge.commands.export`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from edge.config import Config
from edge.messages import Program, Traffic
from edge.reports.feeds import Board, Group, towards

Language = Literal["en", "fr"]

COLUMNS_EN = (
    "Customs Office",
    "Location",
    "Last updated",
    "Commercial Flow - Canada bound",
    "Commercial Flow - U.S. bound",
    "Travellers Flow - Canada bound",
    "Travellers Flow - U.S. bound",
)
COLUMNS_FR = (
    "Bureau de l'ASFC",
    "Emplacement",
    "Mis à jour",
    "Débit / Expéditions commerciales - Vers le Canada",
    "Débit / Expéditions commerciales - Vers les États-Unis",
    "Débit / Voyageurs - Vers le Canada",
    "Débit / Voyageurs - Vers les États-Unis",
)


@dataclass(frozen=True, slots=True)
class _Words:
    """What the file of one language says."""

    columns: tuple[str, ...]
    no_delay: str
    closed: str
    not_applicable: str


_WORDS: dict[Language, _Words] = {
    "en": _Words(COLUMNS_EN, "No Delay", "Closed", "Not Applicable"),
    "fr": _Words(COLUMNS_FR, "Aucun délai", "Fermé", "Ne s'applique pas"),
}
# heure normale, heure avancée: HN and HA before the first letter of the zone
_FRENCH_ZONES = {"S": "HN", "D": "HA"}
_FRENCH_LETTERS = {"N": "T", "A": "A", "E": "E", "C": "C", "M": "R", "P": "P"}
_BOM = "\ufeff"
_FLOWS: tuple[tuple[Traffic, tuple[Program, ...]], ...] = (
    ("commercial", ("standard", "FAST")),
    ("passenger", ("standard", "NEXUS", "READY", "SENTRI")),
)


def feed(boards: Sequence[Board], now_ns: int, language: Language = "en") -> str:
    """The file as text, byte order mark included."""
    lines = [";; ".join(_WORDS[language].columns) + ";;"]
    lines += [";; ".join(row(board, now_ns, language)) + ";; " for board in boards]
    return _BOM + "\n".join(lines) + "\n"


def row(board: Board, now_ns: int, language: Language = "en") -> list[str]:
    """The seven values of one office."""
    config = board.config
    groups = [
        board.group(traffic, programs, towards(country, config), now_ns)
        for traffic, programs in _FLOWS
        for country in ("CA", "US")
    ]
    return [
        _text(config.site.name or config.site.port),
        _text(config.site.location),
        _updated(groups, config, language),
        *(value(group, language) for group in groups),
    ]


def value(group: Group, language: Language = "en") -> str:
    """`No Delay`, `1 minute`, `N minutes`, `Closed`, `Not Applicable`, `--`."""
    words = _WORDS[language]
    if group.state != "known":
        return {"none": words.not_applicable, "closed": words.closed}.get(group.state, "--")
    minutes = group.minutes
    if not minutes:
        return words.no_delay if minutes == 0 else "--"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _updated(groups: Sequence[Group], config: Config, language: Language) -> str:
    """When the newest figure was made, in the time of the office: `2026-10-03 13:20 EDT`, in French `HAE`."""
    times = [group.time_ns for group in groups if group.time_ns is not None]
    if not times:
        return "--"
    local = datetime.fromtimestamp(max(times) // 1_000_000_000, UTC).astimezone(ZoneInfo(config.site.timezone))
    return f"{local:%Y-%m-%d %H:%M} {_zone(f'{local:%Z}', language)}"


def _zone(name: str, language: Language) -> str:
    """`HAE` of `EDT`; a zone that has no such name stays as it is."""
    if language == "fr" and len(name) == 3 and name[0] in _FRENCH_LETTERS and name[1] in _FRENCH_ZONES:
        return _FRENCH_ZONES[name[1]] + _FRENCH_LETTERS[name[0]]
    return name


def _text(text: str) -> str:
    return " ".join(text.replace(";;", ",").split())
