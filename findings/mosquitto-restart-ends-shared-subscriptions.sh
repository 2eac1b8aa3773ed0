#!/bin/sh
# mosquitto 2.0.11: a restart keeps a session, its queue and its plain subscriptions, and forgets those that are shared.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  MQTT 5, section 4.1: the subscriptions are part of the session; with `persistence true` they are kept over a
          restart, mosquitto.conf(5). A client that is told that its session is present need not subscribe again.
matters   Two collectors share a feed. The broker is updated: from then on each is connected, with its session, and gets
          nothing at all, and what the computers publish meanwhile is acknowledged and thrown away. Who subscribes at
          every connection loses only what came between the start and the first of them.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import signal
import socket
import subprocess
import sys
import time

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, conf = int(sys.argv[1]), sys.argv[2]
kept = Properties(PacketTypes.CONNECT)
kept.SessionExpiryInterval = 1000


def start():
    broker = subprocess.Popen(["mosquitto", "-c", conf], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return broker
        time.sleep(0.1)
    sys.exit("nothing listens")


class Reader:
    def __init__(self, name, topic_filter=None):
        self.got, self.present = [], False
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        self.client.on_message = lambda c, u, message: self.got.append(message.payload.decode())
        self.client.on_connect = lambda c, u, flags, *_: setattr(self, "present", flags.session_present)
        self.client.connect("127.0.0.1", port, clean_start=False, properties=kept)
        self.client.loop_start()
        time.sleep(0.5)
        if topic_filter:
            self.client.subscribe(topic_filter, 1)
            time.sleep(0.5)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


def publish(words):
    writer = Client(CallbackAPIVersion.VERSION2, client_id="lane", protocol=MQTTv5)
    writer.connect("127.0.0.1", port)
    writer.loop_start()
    for word in words:
        writer.publish("lane/vehicle", word, 1).wait_for_publish(10)
    time.sleep(0.5)
    writer.disconnect()
    writer.loop_stop()


broker = start()
try:
    for reader in (Reader("plain", "lane/#"), Reader("shared", "$share/centre/lane/#")):
        reader.end()
    publish(["queued"])
    broker.send_signal(signal.SIGTERM)
    broker.wait()
    broker = start()
    publish(["away"])
    readers = [Reader("plain"), Reader("shared")]
    publish(["live"])
    print("; ".join(f"{name}: session {r.present}, {' '.join(r.got)}" for name, r in zip(("plain", "shared"), readers)))
finally:
    broker.kill()
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n' "$port" "$WORK" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
verdict "$("$PY" "$WORK/ask.py" "$port" "$WORK/conf")" \
    "plain: session True, queued away live; shared: session True, queued"
