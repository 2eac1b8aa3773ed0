#!/bin/sh
# paho-mqtt 2.2.0 sends what on_connect publishes before what it sends again: the older retained state is the one that stays.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
client
cat <<'TEXT'
expected  MQTT 3.1.1 and 5, section 4.6: messages go out in the order in which they were published, those without an
          acknowledgement first when the line is back. paho does so for what is published right after on_connect.
matters   A lane's status is published in on_connect, the place for it, and when something changes. The line breaks before
          a `jam` is acknowledged; when it is back the broker gets `free`, then `jam` once more, retained, and the whole
          country reads a jam until the next change. It needs no load, only one PUBACK lost.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import socket
import sys
import threading
import time

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

broker = int(sys.argv[1])


class Line:
    """A TCP line to the broker; deaf, it loses what the broker says."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.deaf, self.ends = False, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            near, _ = self.server.accept()
            far = socket.create_connection(("127.0.0.1", broker))
            self.ends = [near, far]
            for source, target, answers in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=(source, target, answers), daemon=True).start()

    def _carry(self, source, target, answers):
        while data := source.recv(4096):
            if not (answers and self.deaf):
                target.sendall(data)

    def cut(self):
        for end in self.ends:
            end.shutdown(socket.SHUT_RDWR)


def client(protocol, port, **more):
    made = Client(CallbackAPIVersion.VERSION2, protocol=protocol, **more)
    made.reconnect_delay_set(1, 1)
    made.connect("127.0.0.1", port)
    return made


words = []
for name, protocol in (("3.1.1", MQTTv311), ("5", MQTTv5)):
    for place in ("on_connect", "after it"):
        topic, line, up, retained = f"lane/{name}/{place}", Line(), threading.Event(), []

        def on_connect(lane, *_, topic=topic, place=place, up=up):
            if place == "on_connect":
                lane.publish(topic, "free", 1, retain=True)
            up.set()

        lane = client(protocol, line.port, client_id="lane")
        lane.on_connect = on_connect
        lane.loop_start()
        up.wait(10)
        time.sleep(0.5)
        line.deaf = True
        lane.publish(topic, "jam", 1, retain=True)
        time.sleep(0.5)
        up.clear()
        line.cut()
        line.deaf = False
        up.wait(10)
        if place == "after it":
            time.sleep(0.2)
            lane.publish(topic, "free", 1, retain=True)
        time.sleep(1)
        reader = client(protocol, broker)
        reader.on_message = lambda _client, _data, message, retained=retained: retained.append(message.payload.decode())
        reader.loop_start()
        reader.subscribe(topic, 1)
        time.sleep(0.5)
        words.append(f"{name}, free published {'in' if place == 'on_connect' else 'right after'} on_connect: {' '.join(retained)}")
        lane.disconnect()
        lane.loop_stop()
print("; ".join(words))
PYTHON
port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$WORK/conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
mosquitto -c "$WORK/conf" 2>/dev/null &
PIDS="$PIDS $!"
up "$port"
verdict "$("$PY" "$WORK/ask.py" "$port" 2>"$WORK/log")" \
    "3.1.1, free published in on_connect: jam; 3.1.1, free published right after on_connect: free; \
5, free published in on_connect: jam; 5, free published right after on_connect: free"
