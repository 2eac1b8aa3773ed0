#!/bin/sh
# RabbitMQ 3.10.8: a dot in an MQTT topic arrives as a level.
. "$(dirname "$0")/lib/broker.sh"
client
. "$(dirname "$0")/lib/rabbitmq.sh"
cat <<'TEXT'
expected  MQTT 3.1.1, section 4.7: only / separates levels; a topic arrives as it was published.
matters   A computer named after its host (lane.bridge) is read as two levels: its messages stand under a name that
          nobody has, and a rule or a reader for its own branch never fits.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

got = []
client = Client(CallbackAPIVersion.VERSION2, client_id="both", protocol=MQTTv311)
client.on_message = lambda c, u, message: got.append(message.topic)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
client.subscribe("c/#", 1)
time.sleep(1.5)
for topic in ("c/lane-bridge/status", "c/lane.bridge/status"):
    client.publish(topic, b"1", 1)
    time.sleep(1.0)
print(" ".join(got))
PYTHON
verdict "$("$PY" "$WORK/ask.py" "$PORT")" "c/lane-bridge/status c/lane/bridge/status"
