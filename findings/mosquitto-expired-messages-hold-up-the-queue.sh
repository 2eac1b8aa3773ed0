#!/bin/sh
# mosquitto 2.0.11: behind a few hundred expired messages the rest of a queue stays where it is, and newer messages overtake it.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  MQTT 5, sections 3.3.2.3.3 and 4.6: what expired in the queue of a session is deleted; the rest is sent when its
          owner is back, in the order in which it came, and before what is published later.
matters   Waits of a line of lanes expire after a day, vehicles do not. A collector that comes back after a long outage
          gets none of the vehicles that stand behind the waits until so many new messages came, and those come first. In
          a quiet night that is hours. Nothing is lost, and a larger `max_inflight_messages` makes it rarer.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port = int(sys.argv[1])
kept = Properties(PacketTypes.CONNECT)
kept.SessionExpiryInterval = 1000


def client(name, got):
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
    made.on_message = lambda c, u, message: got.append(message.payload.decode())
    made.connect("127.0.0.1", port, clean_start=False, properties=kept)
    made.loop_start()
    return made


def publish(writer, words, expiry_s):
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = expiry_s
    for word in words:
        told = writer.publish(f"lane/{case}", word, 1, properties=properties)
    told.wait_for_publish(10)


words = []
writer = client("writer", [])
for case in (10, 500):
    reader = client(f"reader{case}", [])
    reader.subscribe(f"lane/{case}", 1)
    time.sleep(0.5)
    reader.disconnect()
    reader.loop_stop()
    publish(writer, ["wait"] * case, 1)
    publish(writer, [f"vehicle{n}" for n in range(20)], 3600)
    time.sleep(2.5)
    got = []
    client(f"reader{case}", got)
    time.sleep(3)
    back = len(got)
    newer = 0
    while newer < 100 and sum(word != "new" for word in got) < 20:
        publish(writer, ["new"], 3600)
        newer += 1
        time.sleep(0.2)
    words.append(f"{case} expired ahead: {back} of 20 when back, all after {newer} newer")
print("; ".join(words))
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
up "$port"
verdict "$("$PY" "$WORK/ask.py" "$port")" \
    "10 expired ahead: 20 of 20 when back, all after 0 newer; 500 expired ahead: 0 of 20 when back, all after 13 newer"
