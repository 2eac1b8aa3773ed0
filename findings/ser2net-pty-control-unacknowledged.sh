#!/bin/sh
# ser2net 4.3.11 over a pseudo-terminal acknowledges every RFC 2217 setting but SET-CONTROL, so pyserial 3.5 does not open it.
. "$(dirname "$0")/lib/broker.sh"
debian ser2net 4.3.11-1
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check pyserial==3.5
echo "client    pyserial 3.5 (PyPI)"
cat <<'TEXT'
expected  RFC 2217: the access server answers each command of the client with the value that now holds, SET-CONTROL
          (5) with 105 as well; a client that asks for no flow control, the default, opens the line.
matters   A scale or reader behind such a port is tried again and again with a text about a time-out, though every
          setting that matters was made; only who knows `ign_set_control` gets its weights.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys

import serial

answers = []
for query in ("", "?ign_set_control"):
    try:
        serial.serial_for_url(f"rfc2217://127.0.0.1:{sys.argv[1]}{query}", baudrate=9600, timeout=1).close()
        answers.append("opened")
    except serial.SerialException as error:
        answers.append(str(error))
print("; with ign_set_control: ".join(answers))
PYTHON
port=$(free_port)
cat >"$WORK/line.py" <<'PYTHON'
import os, sys, time, tty

master, slave = os.openpty()
tty.setraw(slave)
with open(sys.argv[1], "w") as out:
    out.write(os.ttyname(slave))
time.sleep(120)
PYTHON
python3 "$WORK/line.py" "$WORK/line" &
LINE=$!
while [ ! -s "$WORK/line" ]; do sleep 0.1; done
printf 'connection: &lane\n  accepter: telnet(rfc2217),tcp,127.0.0.1,%s\n  connector: serialdev,%s,9600n81,local\n' \
    "$port" "$(cat "$WORK/line")" >"$WORK/ser2net.yaml"
ser2net -n -c "$WORK/ser2net.yaml" >/dev/null 2>&1 &
SERVER=$!
trap 'kill -9 $SERVER $LINE 2>/dev/null || true; rm -rf "$WORK"' EXIT # it waits for its line when told to end
up "$port"
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py" "$port")" \
    "timeout while waiting for option 'control'; with ign_set_control: opened"
