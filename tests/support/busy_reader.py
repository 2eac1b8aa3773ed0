"""A plate reader that reads a new plate many times a second and serves whoever connects: load for a daemon."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from site_text import device_tables, lane_tables, store_tables, table

from edge.delivery.identity import new_key

_SHARE = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]


def busy_configuration(directory: Path, readers: dict[str, BusyReader], collector: str) -> Path:
    """A lane whose points have such readers; `collector`: its lines but for name and share."""
    new_key(directory / "identity.key")
    config = directory / "borderflow.toml"
    devices = (
        device_tables(f"plate-{point}", "lpr_frame", f"tcp://127.0.0.1:{reader.port}", point=point,
               preset="axxonsoft", plate_pattern="BF[0-9]+")
        for point, reader in readers.items()
    )  # fmt: skip
    config.write_text(
        lane_tables(site={"source": "lane-1"})
        + "".join(devices)
        + table("[[collector]]", name="national", share=_SHARE)
        + f"{collector}\n"
        + store_tables(f"{directory}/store", f"{directory}/identity.key", max_bytes=1_000_000_000)
    )
    return config


class BusyReader:
    """Frames of `lpr_frame` (preset axxonsoft: STX, 16 digits, plate, ETX) on a TCP port of its own."""

    def __init__(self, reads_per_s: float) -> None:
        self._interval_s = 1.0 / reads_per_s
        self._plates = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                with connection:
                    self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            connection.sendall(b"\x02%016dBF%07d\x03" % (0, next(self._plates)))
            due = max(due + self._interval_s, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
