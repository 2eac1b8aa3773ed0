#!/bin/sh
# mosquitto 2.0.11 with `max_inflight_messages 1`: QoS 2 messages that come together are received, released, completed, and lost.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  mosquitto.conf(5): max_inflight_messages is how many outgoing messages are under way, and 1 guarantees that they
          come in order. A PUBREC, MQTT 4.3.3, says that a message is stored, else the connection ends (MQTT 5: 0x93).
          QoS 1 loses nothing, nor does QoS 2 with the 20 that hold unless told.
matters   Who wants the order of events kept sets it to 1 and publishes with QoS 2 to be sure: of ten vehicles after a
          break one arrives with MQTT 3.1.1 and half with MQTT 5, where paho-mqtt neither keeps to the Receive Maximum
          nor minds a PUBREC that says 0x97. on_publish reports success for all ten.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

port, words = int(sys.argv[1]), []
for name, protocol in (("3.1.1", MQTTv311), ("5", MQTTv5)):
    for qos in (1, 2):
        got, done, topic = [], [], f"lane/{name}/{qos}"
        reader = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
        reader.on_message = lambda _client, _data, message, got=got: got.append(message.payload)
        writer = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        writer.on_publish = lambda _client, _data, _mid, reason, _properties, done=done: done.append(reason.is_failure)
        for client in (reader, writer):
            client.connect("127.0.0.1", port)
            client.loop_start()
        reader.subscribe(topic, 1)
        time.sleep(0.5)
        for n in range(10):
            writer.publish(topic, str(n), qos)
        time.sleep(3)
        print(f"{name} QoS {qos}: {len(got)} of 10", file=sys.stderr)
        words.append(f"{name} QoS {qos} {done.count(False)} told {'all' if len(got) == 10 else 'fewer'} got")
        for client in (reader, writer):
            client.disconnect()
            client.loop_stop()
print(", ".join(words))
PYTHON
seen=""
for bound in 20 1; do
    port=$(free_port)
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_inflight_messages %s\n' "$port" "$bound" >"$WORK/$bound.conf"
    [ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/$bound.conf"
    mosquitto -c "$WORK/$bound.conf" 2>/dev/null &
    PIDS="$PIDS $!"
    up "$port"
    seen="$seen${seen:+ | }$bound: $("$PY" "$WORK/ask.py" "$port")"
done
verdict "$seen" "20: 3.1.1 QoS 1 10 told all got, 3.1.1 QoS 2 10 told all got, 5 QoS 1 10 told all got, 5 QoS 2 10 told all got | \
1: 3.1.1 QoS 1 10 told all got, 3.1.1 QoS 2 10 told fewer got, 5 QoS 1 10 told all got, 5 QoS 2 10 told fewer got"
