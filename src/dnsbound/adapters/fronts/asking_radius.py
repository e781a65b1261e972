"""What access points, gateways and proxies have in common that ask our RADIUS server who may come in.

They speak EAP and TLS with nobody: they pass it on, and the answer says yes or no. What asks the verify service is
`fronts.asking`. Sections: RFC 2865 section 3 (shared secrets), RFC 2866 (accounting, at the next port), RFC 5176.
"""

from collections.abc import Mapping
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import OverRadius, Settings
from dnsbound.errors import Misuse

WORKS: Final = (
    "every certificate, expired ones too",
    "devices of any organisation, with unmodified supplicants",
    "VLANs and timeouts of the access list",
)


def radius_server(settings: Settings) -> Mapping[str, str]:
    """address, port, accounting_port and secret of the server; own, disconnect_port: where this one is, and hears of
    records that are gone. Misuse for a host name: these servers look none up, or once."""
    server, here = settings.verifier, settings.listen
    if not isinstance(server, OverRadius):
        raise Misuse("it asks a RADIUS server, with a shared secret")
    if not server.address.is_ip or not server.address.host:
        raise Misuse(f"the RADIUS server is told by its IP address, not {server.address.host!r}")
    if not here.is_ip or not here.host:
        raise Misuse("--listen is an IP address of this machine and a port: the RADIUS server knows it by the address")
    return {
        "address": server.address.host,
        "port": str(server.address.port),
        "accounting_port": str(server.address.port + 1),
        "secret": quoting.word(server.secret, "the secret"),
        "own": here.host,
        "disconnect_port": str(here.port),
        "nas": settings.server_name,
    }
