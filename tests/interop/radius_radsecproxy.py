"""radsecproxy: as an ISP's proxy that hands requests on over TLS or DTLS, and as somebody else's server of either."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from interop.daemon import STARTS, Daemon, free_port, program, started
from interop.radius_examples import Pem, example
from interop.radius_freeradius import SECRET

Kind = Literal["tls", "dtls"]
SECRETS: Final[dict[str, str]] = {"tls": "radsec", "dtls": "radius/dtls"}
"""What every peer of RFC 6614 section 2.3 and RFC 7360 section 2.1 knows."""

_FRONT: Final = """
listen@KIND@ 127.0.0.1:@PORT@
logLevel 3
tls default {
    caCertificateFile @CLIENTS@
    certificateFile @CERTIFICATE@
    certificateKeyFile @KEY@
}
client everybody {
    host 127.0.0.0/8
    type @KIND@
    secret @SECRET@
    certificateNameCheck off
}
server behind {
    host 127.0.0.1:@HOME@
    type udp
    secret @HOME_SECRET@
}
realm * {
    server behind
    accountingServer behind
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadsecProxy:
    """A running one on loopback, and the secret of those who ask it."""

    daemon: Daemon
    port: int
    secret: str


@contextlib.contextmanager
def radsecproxy(directory: Path, *, own: Pem, authority: Path, home: int, kind: Kind = "tls") -> Iterator[RadsecProxy]:
    """An ISP's proxy with the file of the examples. own: what it shows to the server. authority: whose servers it
    believes, by the address 127.0.0.1. home: that server's port on loopback."""
    values = {
        "listenUDP 192.0.2.30:1813\n": "",
        "192.0.2.30:1812": "127.0.0.1:@PORT@",
        "/etc/dnsbound/radius-ca.pem": str(authority),
        "/etc/dnsbound/proxy.crt": str(own.certificate),
        "/etc/dnsbound/proxy.key": str(own.key),
        "192.0.2.0/24": "127.0.0.0/8",
        "office-secret-for-examples": SECRET,
        "radius.cars.example:2083": f"127.0.0.1:{home}",
        "    type tls\n": f"    type {kind}\n",
        "secret radsec": f"secret {SECRETS[kind]}",
    }
    with _running(directory, example("radsecproxy.conf", values), SECRET) as proxy:
        yield proxy


@contextlib.contextmanager
def radsec_front(
    directory: Path, *, own: Pem, clients: Path, home: int, secret: str, kind: Kind = "tls"
) -> Iterator[RadsecProxy]:
    """A server over TLS or DTLS for clients of an authority, whatever their names, before a RADIUS server over UDP.
    home, secret: that server's."""
    text = _FRONT
    for word, value in {
        "KIND": kind,
        "CLIENTS": str(clients),
        "CERTIFICATE": str(own.certificate),
        "KEY": str(own.key),
        "SECRET": SECRETS[kind],
        "HOME": str(home),
        "HOME_SECRET": secret,
    }.items():
        text = text.replace(f"@{word}@", value)
    with _running(directory, text, SECRETS[kind]) as front:
        yield front


@contextlib.contextmanager
def _running(directory: Path, text: str, secret: str) -> Iterator[RadsecProxy]:
    directory.mkdir()
    configuration, complaints = directory / "radsecproxy.conf", []
    for _ in range(STARTS):
        port = free_port()
        configuration.write_text(text.replace("@PORT@", str(port)))
        with started([program("radsecproxy"), "-f", "-c", str(configuration)], directory / "radsecproxy.log") as daemon:
            try:
                daemon.wait_for(lambda: b"listening for" in daemon.log.read_bytes(), "radsecproxy listens")
            except AssertionError as complaint:
                complaints.append(str(complaint))
                continue
            yield RadsecProxy(daemon=daemon, port=port, secret=secret)
            return
    raise AssertionError(f"radsecproxy does not start: {complaints}")
