#!/bin/sh
# pymodbus 3.16.1 drops what follows an RTU frame in the same read: the answer of unit 2 behind a late one of unit 1 is lost.
. "$(dirname "$0")/lib/broker.sh"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check pymodbus==3.16.1
echo "library   pymodbus 3.16.1 (PyPI)"
cat <<'TEXT'
expected  Two whole frames with good CRCs arrive in one read, the first from another unit: it is skipped, and the second
          one is found behind it, as the framer for Modbus TCP does with two that arrive together.
matters   On a line of several scales a unit that answers late is read together with the next unit's prompt answer.
          That answer is gone and the request times out, though the unit answered in time.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import logging

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

logging.disable(logging.CRITICAL)


def both(framer, tid):
    framer = framer(DecodePDU(False))
    frames = b""
    for unit, weight in ((1, 11), (2, 22)):
        answer = ReadHoldingRegistersResponse(dev_id=unit, transaction_id=tid, registers=[weight])
        frames += framer.buildFrame(answer)
    used, found = framer.handleFrame(frames, 2, tid)
    return f"{used} of {len(frames)} bytes used, {'lost' if found is None else found.registers}"


print(f"RTU: {both(FramerRTU, 0)}; TCP: {both(FramerSocket, 7)}")
PYTHON
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py")" "RTU: 14 of 14 bytes used, lost; TCP: 22 of 22 bytes used, [22]"
