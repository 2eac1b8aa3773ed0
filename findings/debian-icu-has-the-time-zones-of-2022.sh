#!/bin/sh
# Debian 12: ICU 72.1 keeps the time zones of 2022e; Ciudad Juarez is Greenwich to it and Ojinaga an hour off, whatever tzdata says.
. "$(dirname "$0")/lib/broker.sh"
debian libicu72 72.1-3+deb12u1
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check tzdata==2026.6
echo "library   tzdata 2026.6 (PyPI)"
cat <<'TEXT'
expected  A system whose tzdata is updated, as Debian does through a release's life, tells one local time; a zone that a
          program does not know is an error.
matters   Debian's PHP (intl), Node and LibreOffice ask ICU, Python and PostgreSQL ask tzdata. Since November 2022 Ojinaga
          keeps the time of Presidio and Juárez, a zone of its own since then, that of El Paso; both sides of a bridge are
          one hour or seven apart in a report of the one kind, and right in the other. C callers get no error at all.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
from ctypes import CDLL, POINTER, byref, c_char_p, c_double, c_int, c_int32, c_void_p
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import tzdata

icu = CDLL("libicui18n.so.72")
icu.ucal_getTZDataVersion_72.restype = c_char_p
icu.ucal_open_72.restype = c_void_p
icu.ucal_open_72.argtypes = [c_char_p, c_int32, c_char_p, c_int, POINTER(c_int)]
icu.ucal_setMillis_72.argtypes = [c_void_p, c_double, POINTER(c_int)]
icu.ucal_get_72.argtypes = [c_void_p, c_int, POINTER(c_int)]
ZONE_OFFSET, DST_OFFSET = 15, 16
status = c_int(0)


def by_icu(zone, at):
    calendar = icu.ucal_open_72(zone.encode("utf-16-le") + b"\0\0", -1, b"en", 0, byref(status))
    icu.ucal_setMillis_72(calendar, at.timestamp() * 1000, byref(status))
    ms = sum(icu.ucal_get_72(calendar, field, byref(status)) for field in (ZONE_OFFSET, DST_OFFSET))
    return ms // 3_600_000


words = [f"ICU {icu.ucal_getTZDataVersion_72(byref(status)).decode()}, tzdata {tzdata.IANA_VERSION}"]
for zone, month in (("Matamoros", 1), ("Ojinaga", 1), ("Ciudad_Juarez", 1), ("Monterrey", 7)):
    at = datetime(2026, month, 15, tzinfo=UTC)
    true = at.astimezone(ZoneInfo(f"America/{zone}")).utcoffset() // timedelta(hours=1)
    words.append(f"{zone} {by_icu(f'America/{zone}', at)} for {true} h")
print(", ".join(words) + f", error {status.value}")
PYTHON
verdict "$(PYTHONTZPATH='' "$WORK/venv/bin/python" "$WORK/ask.py")" \
    "ICU 2022e, tzdata 2026f, Matamoros -6 for -6 h, Ojinaga -7 for -6 h, Ciudad_Juarez 0 for -7 h, Monterrey -5 for -6 h, error 0"
