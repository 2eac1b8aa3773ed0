#!/bin/sh
# RabbitMQ 3.10.8: who resumed an MQTT session and unsubscribes is told that it did, and gets everything as before.
. "$(dirname "$0")/lib/broker.sh"
client
. "$(dirname "$0")/lib/rabbitmq.sh"
cat <<'TEXT'
expected  MQTT 3.1.1, sections 3.10.4 and 4.1: the subscriptions are part of the session, an UNSUBSCRIBE whose filter is
          among them deletes it, and an UNSUBACK says that no new message comes by it. On the first connection it is so.
matters   A collector that was set to fewer crossings goes on to get, and to store, those that it gave up, and its backlog
          grows with them while it is away. To get rid of it one has to end the session, and what waits in it.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import threading
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

port = int(sys.argv[1])


def client(name, got=None):
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=got is None, protocol=MQTTv311)
    made.on_message = lambda c, u, message: got.append(message.payload)
    made.told = threading.Event()
    made.on_subscribe = made.on_unsubscribe = lambda *_: made.told.set()
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


def ask(reader, what, *words):
    reader.told.clear()
    what(*words)
    return reader.told.wait(10)


words = []
writer = client("writer")
for place in ("first connection", "resumed"):
    got, topic = [], f"c/{place[0]}"
    reader = client(place[0], got)
    ask(reader, reader.subscribe, topic, 1)
    if place == "resumed":
        reader.disconnect()
        reader.loop_stop()
        reader = client(place[0], got)
        time.sleep(1)
    told = ask(reader, reader.unsubscribe, topic)
    for n in range(5):
        writer.publish(topic, b"1", 1).wait_for_publish(10)
    time.sleep(2)
    words.append(f"{place}: UNSUBACK {told}, then {len(got)} of 5")
print("; ".join(words))
PYTHON
verdict "$("$PY" "$WORK/ask.py" "$PORT")" "first connection: UNSUBACK True, then 0 of 5; resumed: UNSUBACK True, then 5 of 5"
