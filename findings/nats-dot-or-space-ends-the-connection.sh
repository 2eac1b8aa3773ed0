#!/bin/sh
# NATS 2.9.10: a dot or a space in an MQTT topic ends the connection of who publishes.
. "$(dirname "$0")/lib/broker.sh"
debian nats-server 2.9.10-1+b3
client
cat <<'TEXT'
expected  MQTT 3.1.1, section 4.7.3: a topic may hold any character but U+0000, + and #, spaces included; one that a
          server cannot take costs that message at most.
matters   A computer whose name holds a dot connects, publishes, is thrown out, and begins anew for ever, with nothing
          but a broken connection to see on its side; the same name works with mosquitto.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

words = []
for topic in ("c/lane-bridge/status", "c/lane.bridge/status", "c/lane bridge/status"):
    events = []
    client = Client(CallbackAPIVersion.VERSION2, client_id="lane", protocol=MQTTv311, reconnect_on_failure=False)
    client.on_publish = lambda *_: events.append("PUBACK")
    client.on_disconnect = lambda *_: events.append("closed")
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    time.sleep(0.5)
    client.publish(topic, b"1", 1)
    time.sleep(1.0)
    words.append(f"{topic}: {' '.join(events)}")
    client.loop_stop()
print(", ".join(words))
PYTHON
port=$(free_port)
printf 'server_name: finding\nhost: 127.0.0.1\nport: %s\njetstream { store_dir: "%s" }\nmqtt { listen: "127.0.0.1:%s" }\n' \
    "$(free_port)" "$WORK/store" "$port" >"$WORK/nats.conf"
nats-server -c "$WORK/nats.conf" >"$WORK/log" 2>&1 &
PIDS="$PIDS $!"
up "$port"
sleep 1
verdict "$("$PY" "$WORK/ask.py" "$port")" \
    "c/lane-bridge/status: PUBACK, c/lane.bridge/status: closed, c/lane bridge/status: closed"
