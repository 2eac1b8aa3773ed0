#!/bin/sh
# aedes 1.2.0: what was queued for a session that was away arrives with RETAIN set, as if it were an old state.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
(cd "$WORK" && npm install --silent --no-audit --no-fund aedes@1.2.0 >/dev/null 2>&1)
echo "broker    aedes 1.2.0 (npm), node $(node --version)"
cat <<'TEXT'
expected  MQTT 3.1.1, section 3.3.1.3: RETAIN is 1 for what a new subscription is given, 0 for what is sent because it
          matched an established one, however it was published, and so for what waited in a session. mosquitto does so.
matters   A collector tells by RETAIN the state that a crossing left from the event that just came. After a restart of a
          minute every status of that minute, published retained as a status is, looks like an old one and is put aside,
          the last of them and those before; none of them comes a second time.
TEXT
cat >"$WORK/broker.mjs" <<'JS'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
JS
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion


def client(port, name, got):
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, protocol=MQTTv311)
    made.on_message = lambda c, u, message: got.append(f"{message.payload.decode()} {int(message.retain)}")
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


words = []
for name, port in zip(("mosquitto", "aedes"), map(int, sys.argv[1:]), strict=True):
    live, queued = [], []
    writer = client(port, "lane", [])
    reader = client(port, "collector", live)
    reader.subscribe("lane/status", 1)
    time.sleep(0.5)
    writer.publish("lane/status", "open", 1, retain=True).wait_for_publish(10)
    time.sleep(0.5)
    reader.disconnect()
    reader.loop_stop()
    for status in ("closed", "again open"):
        writer.publish("lane/status", status, 1, retain=True).wait_for_publish(10)
    client(port, "collector", queued)
    time.sleep(1)
    words.append(f"{name}: live {', '.join(live)}; queued {', '.join(queued)}")
print(" | ".join(words))
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
aedes=$(free_port)
(cd "$WORK" && exec node broker.mjs "$aedes") >"$WORK/log" 2>&1 &
PIDS="$PIDS $!"
up "$port"
up "$aedes"
verdict "$("$PY" "$WORK/ask.py" "$port" "$aedes")" \
    "mosquitto: live open 0; queued closed 0, again open 0 | aedes: live open 0; queued closed 1, again open 1"
