"""Where emulated devices are reached: a target of a scenario or of `--bind` in, an endpoint out; called by `serve.py`.

An endpoint carries bytes between a host (the daemon) and a `Device` callback, knows nothing of protocols, and can be
unplugged and plugged in again under the same address.
"""

from __future__ import annotations

import socket
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

from firmware_sim.wires.links import Device, Endpoint, EndpointError
from firmware_sim.wires.mqtt_endpoint import MqttEndpoint
from firmware_sim.wires.serial_endpoints import PtyEndpoint, SerialEndpoint
from firmware_sim.wires.tcp_endpoints import PushEndpoint, TcpEndpoint

__all__ = [
    "Device",
    "Endpoint",
    "EndpointError",
    "PtyEndpoint",
    "PushEndpoint",
    "SerialEndpoint",
    "TcpEndpoint",
    "endpoint_at",
]


def endpoint_at(
    target: str,
    ports: tuple[str, ...],
    *,
    link: Path,
    baud: int,
    random: Random,
    pushes: bool = False,
    scheme: str = "tcp",
) -> Endpoint:
    """The endpoint that a scenario or `--bind` names; `scheme` is what a TCP device's URL begins with.

    Raises EndpointError.

    `pty`, `tcp`, `tcp://HOST:PORT[?NAME_port=N]`, both with `rtu+tcp` (a serial line behind a serial server),
    `/dev/...`, `serial:///dev/...[?baud=N]`, or for a device that pushes `tcp`, `http://HOST:PORT/` or
    `mqtt://HOST:PORT/TOPIC`.
    """
    if pushes:
        return _push_endpoint(target)
    if target in ("tcp", "rtu+tcp"):
        return TcpEndpoint(ports, scheme=scheme if target == "tcp" else target)
    if target == "pty":
        _one_port(target, ports)
        return PtyEndpoint(link, baud, random)
    if target.startswith("/dev/"):
        target = "serial://" + target
    parts = urlsplit(target)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    try:
        if parts.scheme in ("tcp", "rtu+tcp") and parts.port is not None:
            numbers = {ports[0]: parts.port}
            for port in ports[1:]:
                if f"{port}_port" in query:
                    numbers[port] = int(query[f"{port}_port"])
                elif parts.port == 502:
                    numbers[port] = 702
            own = scheme if parts.scheme == "tcp" else parts.scheme
            return TcpEndpoint(ports, parts.hostname or "127.0.0.1", numbers, own)
        if parts.scheme == "serial" and parts.path.startswith("/"):
            _one_port(target, ports)
            return SerialEndpoint(parts.path, int(query.get("baud", baud)))
    except ValueError as error:
        raise EndpointError(f"{target}: {error}") from error
    raise EndpointError(f"{target}: give pty, tcp, tcp://HOST:PORT, /dev/ttyX or serial:///dev/ttyX?baud=N")


def _push_endpoint(target: str) -> Endpoint:
    if target == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as free:  # the host is going to listen there
            target = f"http://127.0.0.1:{free.getsockname()[1]}"
    parts = urlsplit(target)
    try:
        if parts.scheme == "mqtt" and parts.hostname and len(parts.path) > 1:
            return MqttEndpoint(parts.hostname, parts.port or 1883, parts.path[1:])
        if parts.scheme == "http" and parts.hostname:
            return PushEndpoint(target, parts.hostname, parts.port or 80)
    except ValueError as error:
        raise EndpointError(f"{target}: {error}") from error
    raise EndpointError(
        f"{target}: this device connects to the host; give tcp, http://HOST:PORT or mqtt://HOST:PORT/TOPIC"
    )


def _one_port(target: str, ports: tuple[str, ...]) -> None:
    if len(ports) > 1:
        raise EndpointError(f"{target}: this device needs {len(ports)} TCP ports; use tcp or tcp://HOST:PORT")
