"""How this computer is, in one line, as `systemctl status` shows it. A status in, text out; called by the daemon."""

from __future__ import annotations

from msgspec import UNSET

from edge.messages import Status

_MOST = 300  # bytes of the worst alarm's text


def one_line(status: Status) -> str:
    """Alarms first, the worst of them in words."""
    held = () if status.alarms is UNSET else status.alarms
    online = sum(device.state == "online" for device in status.devices.values())
    waiting = sum(backlog.messages for backlog in status.backlog.values())
    rest = f"{online} of {len(status.devices)} devices online, {waiting} messages wait for collectors"
    if not held:
        return f"no alarm; {rest}"
    worst = min(held, key=lambda alarm: ("critical", "warning", "info").index(alarm.severity))
    text = " ".join(worst.text.split())[:_MOST]
    return f"{len(held)} alarm{'' if len(held) == 1 else 's'}; {rest}; {worst.severity}: {text}"
