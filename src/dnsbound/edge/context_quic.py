"""A Context for QUIC: what it may be given, and what it may not. QUIC is TLS 1.3 and nothing else, without tickets and
without authentication after the handshake (RFC 9001 sections 4.2 and 4.4). Not here: connections (`quic_connection`).
"""

import ssl
from collections.abc import Iterable
from typing import Any

from dnsbound.edge.context_datagram import Datagrams
from dnsbound.iana import TLS_1_3
from dnsbound.tls.clientid import Profile
from dnsbound.tls.errors import TLSMisuse


def carried_over(
    datagrams: Datagrams | None,
    *,
    quic: bool,
    profiles: Iterable[Profile] = (),
    ticket_lifetime: int = 0,
    late: bool = False,
    clear: bool = False,
) -> dict[str, Any]:
    """Changes to the EngineSettings of a Context by what carries its connections; TLSMisuse for what it was given
    beside `quic=True` and QUIC has no place for."""
    if quic:
        _check(
            datagram=datagrams is not None, profiles=profiles, ticket_lifetime=ticket_lifetime, late=late, clear=clear
        )
    return {"datagrams": datagrams, "quic": quic}


def _check(*, datagram: bool, profiles: Iterable[Profile], ticket_lifetime: int, late: bool, clear: bool) -> None:
    if datagram:
        raise TLSMisuse("datagram means DTLS, which is not QUIC")
    if clear or Profile.CID07 in profiles:
        raise TLSMisuse("cid07 is a profile of TLS 1.2, which QUIC does not speak")
    if ticket_lifetime:
        raise TLSMisuse("ticket_lifetime: sessions over QUIC are not resumed")
    if late:
        raise TLSMisuse("post_handshake: nobody is asked after a handshake of QUIC (RFC 9001 section 4.4)")


def check_settings(*, maximum: int, options: int, late: bool) -> None:
    """The same for what members of the Context were set to."""
    if maximum < TLS_1_3 or options & ssl.OP_NO_TLSv1_3:
        raise TLSMisuse("QUIC speaks TLS 1.3 alone")
    if late:
        raise TLSMisuse("nobody is asked after a handshake of QUIC (RFC 9001 section 4.4)")
