"""What to do about a device that does not answer, by how it is connected: a camera on the network has no baud rate.

Used by drivers/session.py for the text of a state, and by edge/alarms/texts.py for what an alarm says.
"""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import urlsplit

from drivers.base import Driver

Connection = Literal["serial", "network", "serial_server", "listener", "service"]

DOWN: Final[dict[Connection, str]] = {
    "serial": "check its adapter, cable and power",
    "network": "check power, cable and address",
    "serial_server": "check power, cable and address of the serial server, and that nobody else uses its port",
    "listener": "check the address on which this computer listens",
    "service": "it runs on this computer: is it installed and started?",
}
SILENT: Final[dict[Connection, str]] = {
    "serial": "check the device's power, its cable and its settings",
    "network": "check the device's power and whether it hangs; restart it",
    "serial_server": "check the device's power, its cable to the serial server, and its settings",
    "listener": "check the device's power and network, and the address to which it posts",
    "service": "it runs on this computer and says nothing: restart it",
}
GARBAGE: Final[dict[Connection, str]] = {
    "serial": "check baud rate, parity, wiring and shield of the line, and the driver's name",
    "network": "check that the device sends in the format that its driver expects, and what stands between",
    "serial_server": "check baud rate and parity in the serial server, wiring and shield, and the driver's name",
    "listener": "check that the device posts in the format that its driver expects",
    "service": "check its version and its port",
}


def connection(driver: type[Driver], url: str) -> Connection:
    """How a device is connected, by its driver and URL."""
    if driver.service:
        return "service"
    match urlsplit(url).scheme:
        case "tcp":
            return "network"
        case "rtu+tcp" | "rfc2217":
            return "serial_server"
        case "http":
            return "listener"
        case _:
            return "serial"
