#!/bin/sh
# mosquitto 2.0.11: `max_queued_messages 0` makes it end a connection after it denied a publish.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  mosquitto.conf(5): max_queued_messages is how many messages are queued for a client, 0 means without a bound.
          It says nothing of rights: a client that may not publish a topic gets its PUBACK (MQTT 5: with 0x87) and stays
          connected, whatever the value.
matters   At a crossing one kind of message without a right costs the others their connection, again and again; in
          MQTT 3.1.1, where the PUBACK says success, it looks like a broken line or like a second client of the name.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys
import time

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

words = []
for name, protocol in (("3.1.1", MQTTv311), ("5", MQTTv5)):
    events = []
    client = Client(CallbackAPIVersion.VERSION2, client_id="lane", protocol=protocol, reconnect_on_failure=False)
    client.on_publish = lambda c, u, mid, reason, p: events.append(f"PUBACK {reason.value}")
    client.on_disconnect = lambda *_: events.append("closed")
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    time.sleep(0.5)
    client.publish("denied", b"1", 1)
    time.sleep(1.0)
    words.append(f"{name}: {', '.join(events)}")
    client.loop_stop()
print("; ".join(words))
PYTHON
echo "topic readwrite allowed/#" >"$WORK/acl"
for bound in 1000 0; do
    port=$(free_port)
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s\nmax_queued_messages %s\n' \
        "$port" "$WORK/acl" "$bound" >"$WORK/$bound.conf"
    [ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/$bound.conf"
    mosquitto -c "$WORK/$bound.conf" 2>/dev/null &
    PIDS="$PIDS $!"
    up "$port"
    eval "seen_$bound=\$(\"\$PY\" \"\$WORK/ask.py\" $port)"
done
verdict "bound 1000: $seen_1000 | bound 0: $seen_0" \
    "bound 1000: 3.1.1: PUBACK 0; 5: PUBACK 135 | bound 0: 3.1.1: PUBACK 0, closed; 5: PUBACK 135, closed"
