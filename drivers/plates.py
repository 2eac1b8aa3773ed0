"""What a plate reader writes where a plate is due: a plate in one spelling, a word that means "no plate", or neither.

In comes the text of a reader, out comes the plate, or None where it says that the vehicle has none or that it could not
read it: such words make no sighting, or all vehicles without a plate would share one pseudonym. All drivers of plate
readers call it; `edge` spells identities with `one_alphabet` too.

Words are compared without case, blanks and punctuation; an option `no_plate` adds words, and takes one away with a "-"
before it, for a country where it is a plate.

Letters that look alike are one: plates of Russia and its neighbours use just those Cyrillic letters that look like
Latin ones (GOST R 50577), Greek plates just the fourteen common to both, so that what two readers write differs by
their alphabet alone. Digits of any script and full-width letters become plain ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from drivers.base import ProtocolError

_MOST_CHARACTERS = 16
PLATE = r"[^\W_][^\W_ .·-]*([ .·-][^\W_ .·-]+)*"  # letters and digits, in groups with single separators

_SOURCES = {
    "Hikvision ISAPI: its cameras' events in public code": ("unknown", "noPlate", "no plate", "null"),
    "Dahua TrafficJunction: rroller/dahua pull request 648": ("unlicensed", "unlicensed vehicle", "--"),
    "a filter of recorded passages in traffic-police software": ("-", "—", "无牌", "车牌", "无车牌", "null"),
    "annotation rules of a public data set": ("无牌", "?"),
    "readers' words in public code": ("Not defined", "undefined", "none", "nil", "N/A", "not available", "empty"),
    "what such words are elsewhere: unconfirmed": (
        "no read", "not read", "unread", "unreadable", "not recognized", "not recognised", "unrecognized",
        "unrecognised", "not detected", "not found", "no result", "no license plate", "no licence plate",
        "no number", "without plate", "unknown plate", "plate unknown", "invalid", "error", "unidentified",
        "未知", "未识别", "无牌车", "未检测到", "暂无车牌", "無車牌", "無牌",
        "sin placa", "sin matrícula", "no identificado", "sans plaque", "inconnu", "inconnue", "illisible",
        "ohne kennzeichen", "kein kennzeichen", "unbekannt", "senza targa", "sconosciuto", "sem placa",
        "brak", "brak tablicy", "без номера", "нет номера", "не распознан", "не определен", "plakasız", "plaka yok",
    ),
}  # fmt: skip

NoPlate = Annotated[
    tuple[str, ...],
    Meta(description='more words that mean "no plate"; "-word" takes one of the known away (drivers/plates.py)'),
]

_OTHERS, _LATIN = "АВЕКМНОРСТУХІЈЅ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXIJS" + "ABEZHIKMNOPTYX"
_LOOK_ALIKE = str.maketrans(_OTHERS + _OTHERS.lower(), _LATIN + _LATIN.lower())


def one_alphabet(text: str) -> str:
    """Latin letters and plain digits in place of those that look alike or mean the same."""
    plain = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKE)
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in plain)


def _word(text: str) -> str:
    """A word without what differs between those who write it."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


_WORDS = frozenset(filter(None, (_word(word) for words in _SOURCES.values() for word in words)))


class Plates:
    """Judges what a reader writes; `more_words` and `pattern` are its options."""

    def __init__(self, more_words: Sequence[str] = (), pattern: str = PLATE) -> None:
        away = {_word(word) for word in more_words if word.startswith("-") and _word(word)}
        self._words = (_WORDS | {_word(word) for word in more_words}) - away
        self._pattern = re.compile(pattern)

    def read(self, text: str) -> str | None:
        """The plate; None where there is none. Raises ProtocolError for what is neither."""
        text = " ".join(text.split())
        word = _word(text)
        if not word or word in self._words or (len(word) > 3 and not word.strip("0")):
            return None
        plate = one_alphabet(text)
        if len(plate) > _MOST_CHARACTERS or not (self._pattern.fullmatch(text) or self._pattern.fullmatch(plate)):
            raise ProtocolError("bad_plate", "what stands there is no plate")
        return plate


def confidence_of(text: str) -> float | None:
    """0..1 of what a reader writes: per cent, or a share where it has a point and is at most 1; None for nothing.

    Raises ProtocolError (`odd_score`), which costs no plate.
    """
    if not text:
        return None
    match = re.fullmatch(r"([0-9]{1,3}(?:[.,][0-9]{1,12})?)\s?%?", text)
    value = float(match[1].replace(",", ".")) if match is not None else 101.0
    share = value if match is not None and not match[1].isdecimal() and value <= 1.0 else value / 100.0
    if share > 1.0:
        raise ProtocolError("odd_score", "the confidence is no number, or above 100")
    return share
