"""Why a connection failed or ended, in words with a remedy: errors and reason codes in, a `LinkError` out. No I/O.

Called by `edge.delivery.mqtt` with what the system, TLS and the server said. Codes are those of MQTT 5, section 2.4.
"""

from __future__ import annotations

import socket
import ssl

from edge.delivery.endpoint import Endpoint, LinkError


def of_connecting(end: Endpoint, error: Exception) -> LinkError:
    """Names, TCP and TLS, before anything of MQTT is said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return LinkError(
            "certificate",
            f"the certificate of {end} is not trusted ({error.verify_message.rstrip('.')}); "
            f"check ca_file {end.ca_file or '(system)'} and the name in url",
        )
    if isinstance(error, ssl.SSLError):
        return of_tls(end, str(error))
    if isinstance(error, socket.gaierror):
        return LinkError("unreachable", f"the name {end.host} is not known ({error.strerror}); check url and DNS")
    if isinstance(error, TimeoutError):
        return LinkError("unreachable", f"{end} does not answer; check the network and the firewall")
    if isinstance(error, OSError):
        return LinkError("unreachable", f"{end} cannot be reached ({error.strerror or error})")
    return LinkError("protocol", f"{end}: {type(error).__name__}: {error}")


def of_tls(end: Endpoint, text: str) -> LinkError:
    """An alert of the other side is about our certificate; all else is no TLS as we know it."""
    if "alert" in text.lower():
        mine = f"cert_file {end.cert_file}" if end.cert_file else "a client certificate (cert_file, key_file)"
        return LinkError(
            "certificate",
            f"{end} refuses our certificate ({short(text)}); it wants {mine} valid now and signed by an authority "
            "that it trusts",
        )
    return LinkError("protocol", f"{end} does not speak TLS as expected ({short(text)}); check url and port")


def of_answer(end: Endpoint, name: str, code: int) -> LinkError:
    """A CONNACK that says no."""
    if code in (0x86, 0x87, 0x8C):
        who = f"username {end.username} and password_file {end.password_file}" if end.username else "cert_file"
        return LinkError(
            "refused", f"{end} refuses us: {name} (0x{code:02X}); check {who}, and the users and rights there"
        )
    if code in (0x84, 0x01):
        mine, other = ("MQTT 5", 4) if end.protocol == 5 else ("MQTT 3.1.1", 5)
        return LinkError("refused", f"{end} does not speak {mine}; write protocol = {other}")
    if code in (0x97, 0x9F, 0x89, 0x88):
        return LinkError("quota", f"{end} is busy: {name} (0x{code:02X})")
    return LinkError("refused", f"{end} refuses the connection: {name} (0x{code:02X})")


def of_no_answer(end: Endpoint) -> LinkError:
    """It closed before a CONNACK."""
    hint = "; it may want a client certificate (cert_file, key_file)" if end.tls and not end.cert_file else ""
    return LinkError("lost", f"{end} closed the connection before it answered CONNECT{hint}")


def of_break(end: Endpoint, text: str) -> LinkError:
    """The connection ended without a word; `text` is what the client noted of it."""
    return LinkError("lost", f"the connection to {end} broke ({text or 'closed by the other side'})")


def of_goodbye(end: Endpoint, name: str, code: int, said: str) -> LinkError:
    """A DISCONNECT of the server (MQTT 5); `said` is its own reason, where it gave one."""
    detail = f"{name} (0x{code:02X})"
    if said:
        detail = f"{detail}: {said[:200]}"
    if code == 0x8E:
        return LinkError(
            "duplicate",
            f"another client took over our session at {end} as {end.client_id!r} ({detail}); "
            "two computers use one certificate or name: give each its own ([site] source)",
        )
    if code in (0x93, 0x96, 0x97, 0x9F):
        return LinkError("quota", f"{end} ended the connection: {detail}")
    if code in (0x87, 0x98, 0xA0):
        return LinkError("refused", f"{end} ended the connection: {detail}; ask who runs it")
    return LinkError("lost", f"{end} ended the connection: {detail}")


def short(text: str) -> str:
    """One line of what a library said."""
    return " ".join(text.removeprefix("failed to receive on socket:").split())[:160]
