"""Mettler-Toledo scales and terminals that speak MT-SICS, their interface command set (level 0, and TA of level 1).

    SI CR LF     asks for the net weight at once          S S     182.50 kg CR LF     standing still
    TA CR LF     asks for the tare                        S D     182.46 kg CR LF     moving
                                                          S +                overloaded     S -    underloaded
                                                          S I                busy: not now
                                                          TA A     12.00 kg CR LF
    ES  not known     ET  sent wrongly     EL  parameters wrong, or level not there

The weight stands right-justified in ten characters before its unit; it is net. The tare is asked for each second; a
scale that does not know the question has none, so that its weight is gross. Factory setting 9600 8N1 (terminals also
by TCP, port 1701).

Sources: MT-SICS reference manuals for weigh modules (11781363) and for XPR/XSR balances (30324923), sections on
responses with weight value and on error messages; New Classic balances, operating instructions, page 72; Atlantis
mt-sics and PyMeasure for use in the field. Unconfirmed on hardware: `S S Error` lines,
taken for no weight; that terminals with several scales answer for the selected one.
"""

from __future__ import annotations

import re
from typing import ClassVar

from drivers.asked_scale import UNITS_KG, Answer, AskedScale, AskedScaleOptions, Refused, Weight
from drivers.base import Options
from drivers.events import Rejected
from drivers.framing import Frame, FrameCodec, Skip

_LF = 0x0A
_LONGEST = 64
_WEIGHT = re.compile(r"(S|TA) +([A-Z+-])(?: +(\S+))?(?: +(\S+))?")
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,8})?")


class SicsCodec(FrameCodec[Answer]):
    """Bytes to answers."""

    limit = 256

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Answer] | Skip | None:
        if buffer[0] in b"\r\n":
            return Skip(1)
        end = buffer.find(_LF)
        if end < 0:
            return None if len(buffer) < _LONGEST else Skip(1, "no_end")
        line = bytes(buffer[:end]).decode("ascii", "replace").strip("\r ")
        if line in ("ES", "ET", "EL"):
            return Frame(end + 1, (Refused(time_ns),))
        match = _WEIGHT.fullmatch(line)
        if match is None:
            return Skip(end + 1, "bad_fields")
        return Frame(end + 1, self._read(match, time_ns))

    def _read(self, match: re.Match[str], time_ns: int) -> tuple[Answer | Rejected, ...]:
        tare, status, number, unit = match[1] == "TA", match[2], match[3], match[4]
        if not tare and status in "+-":
            return (Weight(time_ns, None, None, out_of_range=True),)
        if status in "IL":
            return (Refused(time_ns),)
        weight = Weight(time_ns, None, None, status == "D", tare=tare)
        if status not in ("A" if tare else "SD") or number is None or not _NUMBER.fullmatch(number):
            return Rejected(self.device, time_ns, "no_weight"), weight
        if unit is None or unit.lower() not in UNITS_KG:
            return Rejected(self.device, time_ns, "unit_no_weight"), weight
        return (Weight(time_ns, float(number) * UNITS_KG[unit.lower()], None, status == "D", tare=tare),)


class MtSics(AskedScale):
    Options: ClassVar[type[Options]] = AskedScaleOptions
    summary = "Mettler-Toledo scales and terminals with MT-SICS (serial or TCP)"
    port = 1701
    question = b"SI\r\n"
    tare_question = b"TA\r\n"

    def codec(self) -> SicsCodec:
        return SicsCodec(self.name)
