#!/bin/sh
# mosquitto 2.0.11: a QoS 1 publish of MQTT 3.1.1 without the right to it is acknowledged and thrown away.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  MQTT 3.1.1, section 3.3.5: a server that does not authorise a PUBLISH must either acknowledge it as usual or
          close the connection. Whoever counts on QoS 1 hopes for the second, the only one that can be noticed.
matters   A computer at a crossing that deletes what was acknowledged loses everything, and nobody is told; with MQTT 5
          the same broker says 0x87. Only hearing one's own message come back proves anything in 3.1.1.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

port = int(sys.argv[1])
got, acknowledged = [], []
reader = Client(CallbackAPIVersion.VERSION2, client_id="reader", protocol=MQTTv311)
reader.on_message = lambda c, u, message: got.append(message.topic)
reader.connect("127.0.0.1", port)
reader.loop_start()
reader.subscribe("#", 1)
time.sleep(0.5)
writer = Client(CallbackAPIVersion.VERSION2, client_id="writer", protocol=MQTTv311, reconnect_on_failure=False)
writer.on_publish = lambda c, u, mid, reason, p: acknowledged.append(mid)
writer.connect("127.0.0.1", port)
writer.loop_start()
time.sleep(0.3)
for topic in ("allowed/vehicle", "denied/vehicle"):
    writer.publish(topic, b"25003", 1)
time.sleep(1.0)
print(f"{len(acknowledged)} acknowledged, still connected: {writer.is_connected()}, arrived: {' '.join(got)}")
PYTHON
port=$(free_port)
printf 'topic readwrite allowed/#\ntopic read #\n' >"$WORK/acl"
printf 'listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s\n' "$port" "$WORK/acl" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
up "$port"
verdict "$("$PY" "$WORK/ask.py" "$port")" "2 acknowledged, still connected: True, arrived: allowed/vehicle"
