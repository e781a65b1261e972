"""Connections for EAP-TLS: a Context's TLS over the octets that EAP packets carry.

The conversation itself is sans-IO, in `dnsbound.protocols.eap_server` and `eap_peer`; this gives them what they open.
"""

from dnsbound.edge.context import Context
from dnsbound.protocols.eap_peer import ClientTls
from dnsbound.protocols.eap_server import ServerTls
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.fed_transport import FedTransport
from dnsbound.tls.session import Session


def served_eap_tls(context: Context, *, source: str = "") -> ServerTls:
    """A connection of a door whose policy is `required`. source: who the peer is to budgets and logs."""
    if not context.requires_claim:
        raise TLSMisuse("EAP admits nobody unauthenticated: its door is required to verify")
    transport = FedTransport()
    return ServerTls(shim=context.server_shim(transport, source=source), transport=transport)


def opened_eap_tls(context: Context, server_hostname: str | None, *, session: Session | None = None) -> ClientTls:
    """A connection of a client. server_hostname: what the server's certificate or TLSA record must show. session: of an
    earlier `PeerDone` with the same Context and host."""
    transport = FedTransport()
    return ClientTls(shim=context.client_shim(transport, server_hostname, session=session), transport=transport)
