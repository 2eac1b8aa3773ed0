#!/bin/sh
# RabbitMQ 3.10.8: a CONNECT of MQTT 5 is cut without an answer.
. "$(dirname "$0")/lib/broker.sh"
. "$(dirname "$0")/lib/rabbitmq.sh"
cat <<'TEXT'
expected  MQTT 3.1.1, section 3.1.2.2, and MQTT 5: a server that does not support the protocol level may send a CONNACK
          that says so (0x01, 0x84) and then closes. mosquitto, NATS and aedes do.
matters   What a client sees is a line that breaks; the one word that would help (write protocol = 4) is not there, and
          somebody drives to the crossing to look at the network.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import socket
import sys

words = []
for level, extra in ((4, b""), (5, b"\x00")):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as link:
        body = b"\x00\x04MQTT" + bytes((level, 2, 0, 30)) + extra + b"\x00\x04lane"
        link.sendall(bytes((0x10, len(body))) + body)
        try:
            answer = link.recv(100)
        except ConnectionResetError:
            answer = b""
        words.append(f"level {level}: {answer.hex() or 'closed without an answer'}")
print(", ".join(words))
PYTHON
verdict "$(python3 "$WORK/ask.py" "$PORT")" "level 4: 20020000, level 5: closed without an answer"
