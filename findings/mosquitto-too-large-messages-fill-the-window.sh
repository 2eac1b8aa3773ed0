#!/bin/sh
# mosquitto 2.0.11: a message larger than a reader's Maximum Packet Size keeps its place in the window; after 20 it gets none.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  MQTT 5, section 3.1.2.11.4: a message that is larger than what a client takes is not sent to it, and the server
          goes on as if it had been delivered.
matters   A display at a booth that limits what it takes, beside cameras that publish a picture now and then, falls silent
          after the 20th picture: connected, subscribed, with answers to its pings. Who sets no limit gets everything.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port = int(sys.argv[1])


def client(name, largest=None):
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
    made.small = 0

    def count(_client, _data, message):
        made.small += len(message.payload) < 100

    made.on_message = count
    properties = Properties(PacketTypes.CONNECT)
    if largest:
        properties.MaximumPacketSize = largest
    made.connect("127.0.0.1", port, properties=properties)
    made.loop_start()
    return made


words = []
writer = client("writer")
for pictures in (19, 20):
    readers = [client(f"limited{pictures}", 1000), client(f"open{pictures}")]
    for reader in readers:
        reader.subscribe(f"lane/{pictures}", 1)
    time.sleep(0.5)
    for payload in [b"x" * 2000] * pictures + [b"expected 600 s"] * 5:
        writer.publish(f"lane/{pictures}", payload, 1).wait_for_publish(10)
    time.sleep(2)
    limited, other = readers
    words.append(f"after {pictures}: limited {limited.small} of 5, connected {limited.is_connected()}, open {other.small} of 5")
print("; ".join(words))
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
up "$port"
verdict "$("$PY" "$WORK/ask.py" "$port")" \
    "after 19: limited 5 of 5, connected True, open 5 of 5; after 20: limited 0 of 5, connected True, open 5 of 5"
