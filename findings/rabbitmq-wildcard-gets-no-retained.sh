#!/bin/sh
# RabbitMQ 3.10.8: who subscribes with a wildcard gets no retained message.
. "$(dirname "$0")/lib/broker.sh"
client
. "$(dirname "$0")/lib/rabbitmq.sh"
cat <<'TEXT'
expected  MQTT 3.1.1, section 3.3.1.3: a new subscription gets the last retained message of each topic that matches it.
matters   An operator who opens a view of all crossings sees none of them until each says something by itself: a
          computer that is offline, whose last will is retained, is never seen at all. Ask for each by its full topic.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

port = int(sys.argv[1])


def client(name):
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv311)
    made.got = []
    made.on_message = lambda c, u, message: c.got.append(message.topic)
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


lane = client("lane")
lane.publish("c/lane/status", b"online", 1, retain=True)
time.sleep(1.5)
words = []
for number, wanted in enumerate(("c/lane/status", "c/+/status", "c/#")):
    reader = client(f"reader{number}")
    reader.subscribe(wanted, 1)
    time.sleep(1.5)
    words.append(f"{wanted}: {len(reader.got)}")
print(", ".join(words))
PYTHON
verdict "$("$PY" "$WORK/ask.py" "$PORT")" "c/lane/status: 1, c/+/status: 0, c/#: 0"
