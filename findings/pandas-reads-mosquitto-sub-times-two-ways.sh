#!/bin/sh
# mosquitto_sub 2.0.11 writes `tst` with a Z and an offset; pandas 3.1.1 reads it right in a column and ten hours off alone.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
debian mosquitto-clients 2.0.11-1.2+deb12u2
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check pandas==3.1.1
echo "library   pandas 3.1.1 (PyPI)"
cat <<'TEXT'
expected  mosquitto_sub(1) shows the time of %j as ...T22:12:00.000000+0100, without a Z. Who reads a text that is no
          ISO 8601 refuses it, as Python does, or reads it in one way.
matters   `mosquitto_sub -F %j >> crossing.jsonl` is the first thing that an integrator leaves running. to_datetime() of the
          file is right, pd.Timestamp() of the line that one looks for takes the offset with the other sign: a truck
          passes ten hours before it was weighed. Set TZ=UTC for mosquitto_sub, or write %U.
TEXT
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
up "$port"
TZ=America/Panama mosquitto_sub -p "$port" -t lane -C 1 -W 20 -F '%j' >"$WORK/line" &
sleep 1
mosquitto_pub -p "$port" -t lane -m 25003
wait $!
cat >"$WORK/ask.py" <<'PYTHON'
import json
import sys
from datetime import UTC, datetime

import pandas

with open(sys.argv[1]) as file:
    text = json.loads(file.readline())["tst"]
now = datetime.now(UTC)


def hours(time):
    return round((time - now).total_seconds() / 3600)


try:
    standard = hours(datetime.fromisoformat(text))
except ValueError:
    standard = "refused"
column = hours(pandas.to_datetime([text])[0])
print(f"{text[26:]}: Python {standard}, column {column} h, alone {hours(pandas.Timestamp(text))} h")
PYTHON
verdict "$("$WORK/venv/bin/python" -W ignore "$WORK/ask.py" "$WORK/line")" \
    "Z-0500: Python refused, column 0 h, alone -10 h"
