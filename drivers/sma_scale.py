"""Scales that speak SMA SCP-0499, levels 1 and 2: truck scales of US and Canadian ports.

The protocol of the Scale Manufacturers Association; Cardinal, Fairbanks, Rice Lake, Sartorius and others have it beside
their own formats.

    0A W 0D        asks for the weight that the scale shows, level 1        0A H 0D   ten times finer, level 2
    0A M 0D        asks for the tare, level 2                               0A ? 0D   answers what it does not know

    0A s r n m f  w w w w w w w w w w  u u u  0D         answer: 18 characters between LF and CR

    s  Z centre of zero, O over capacity, U under it, E zero error, I no zero since power-up, T tare error, else blank
    r  range, from 1        n  G gross, N net, T tare, g and n ten times finer        m  M moving, else blank
    f  for later use        w  weight, right-justified, with its point and sign; dashes where s is E, I or T
    u  unit: lb, kg, g, oz, t, tn (short ton), blanks behind

    0A 20 31 47 20 20 20 20 20 20 20 31 38 32 35 30 6B 67 20 0D        18250 kg gross, standing still

Sources: the standard SCP-0499 (first edition of 24 April 1999, modified 29 November 2005), sections 4 and 5; manuals
that print it: Fairbanks PR 5410, Sartorius PR 5211 and 5220, B-Tek T419S, Cardinal 190 (whose status `e` says that the
display shows no weight). Unconfirmed on hardware: the unit names t and tn; that units may be cut short at their right.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.asked_scale import UNITS_KG, Answer, AskedScale, AskedScaleOptions, Refused, Weight
from drivers.base import Options
from drivers.events import Rejected
from drivers.framing import Frame, FrameCodec, Skip

_LF, _CR = 0x0A, 0x0D
_LONGEST = 64  # lines of other answers (about, diagnostics) are longer than a weight
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,8})?|[+-]?\.\d{1,8}")
_STATUS, _KINDS = " ZOUEITe", "GNTgn"


class SmaOptions(AskedScaleOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    resolution: Annotated[
        Literal["shown", "high"], Meta(description="high: ten times finer, only from scales of level 2")
    ] = "shown"


class SmaCodec(FrameCodec[Answer]):
    """Bytes to answers."""

    limit = 256

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Answer] | Skip | None:
        if buffer[0] != _LF:
            return Skip(1) if buffer[0] == _CR else Skip(1, "no_start")
        end = buffer.find(_CR)
        again = buffer.rfind(_LF, 1, end if end >= 0 else len(buffer))
        if again > 0:
            return Skip(again, "no_end")
        if end < 0:
            return None if len(buffer) < _LONGEST else Skip(1, "no_end")
        line = bytes(byte & 0x7F for byte in buffer[1:end]).decode("ascii")
        if line == "?":
            return Frame(end + 1, (Refused(time_ns),))
        if not 16 <= len(line) <= 18 or line[0] not in _STATUS or line[2] not in _KINDS or line[3] not in " M":
            return Skip(end + 1, "bad_fields")
        return Frame(end + 1, self._read(line, time_ns))

    def _read(self, line: str, time_ns: int) -> tuple[Answer | Rejected, ...]:
        status, kind, moving = line[0], line[2], line[3] == "M"
        number, unit = line[5:15].strip(), line[15:].strip().lower()
        weight = Weight(time_ns, None, kind in "Nn", moving, status in "OU", kind == "T")
        if status in "EITe" or not _NUMBER.fullmatch(number):
            reason = "no_weight" if number else "blank"
            return Rejected(self.device, time_ns, reason), weight
        if unit not in UNITS_KG:
            return Rejected(self.device, time_ns, "unit_no_weight"), weight
        kg = float(number) * UNITS_KG[unit]
        return (Weight(time_ns, kg, weight.net, moving, weight.out_of_range, weight.tare),)


class SmaScale(AskedScale):
    Options: ClassVar[type[Options]] = SmaOptions
    summary = "truck scales with the SMA protocol SCP-0499, levels 1 and 2 (serial)"
    options: SmaOptions
    tare_question = b"\nM\r"

    @property
    def question(self) -> bytes:  # type: ignore[override]
        return b"\nH\r" if self.options.resolution == "high" else b"\nW\r"

    def codec(self) -> SmaCodec:
        return SmaCodec(self.name)
