"""dnsbound: a client logs in by its DNS name.

A device, service or user has one name in the DNS and one key pair; the name's owner publishes the key as a TLSA record
in a signed zone, and whoever meets the client puts the name on an access list. This module is the paved path: the names
most programs need, and no logic. Values and errors are loaded at once; everything that touches the network, a clock
or a file is loaded when it is first used.

This is not a certificate authority, not a recursive resolver, and not a general TLS library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from dnsbound.errors import (
    DnsboundError,
    LimitExceeded,
    Malformed,
    Misuse,
    PeerError,
    Reason,
    Refused,
    Undecided,
)
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.dns.anchors import TrustAnchors
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.context import Context
    from dnsbound.edge.credential_files import load_credential, save_credential
    from dnsbound.edge.current_peer import current_connection, verified_peer
    from dnsbound.edge.datagram_client import open_datagram_connection
    from dnsbound.edge.datagram_server import start_datagram_server
    from dnsbound.edge.listen import start_server
    from dnsbound.edge.loop import loop_factory
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.edge.resolver import Resolver
    from dnsbound.edge.upstream import Upstream
    from dnsbound.verify.access import AccessList
    from dnsbound.verify.peer import VerifiedPeer

_LOADED_ON_USE: Final = {
    "AccessFile": "dnsbound.edge.access_file",
    "AccessList": "dnsbound.verify.access",
    "Authenticator": "dnsbound.edge.authenticator",
    "Context": "dnsbound.edge.context",
    "Credential": "dnsbound.credential.credential",
    "ObjectVerifier": "dnsbound.edge.object_verifier",
    "Resolver": "dnsbound.edge.resolver",
    "TrustAnchors": "dnsbound.dns.anchors",
    "Upstream": "dnsbound.edge.upstream",
    "VerifiedPeer": "dnsbound.verify.peer",
    "current_connection": "dnsbound.edge.current_peer",
    "load_credential": "dnsbound.edge.credential_files",
    "loop_factory": "dnsbound.edge.loop",
    "open_datagram_connection": "dnsbound.edge.datagram_client",
    "save_credential": "dnsbound.edge.credential_files",
    "start_datagram_server": "dnsbound.edge.datagram_server",
    "start_server": "dnsbound.edge.listen",
    "verified_peer": "dnsbound.edge.current_peer",
}

__all__ = [
    "TLSA",
    "AccessFile",
    "AccessList",
    "Authenticator",
    "ClientName",
    "Context",
    "Credential",
    "DnsboundError",
    "LimitExceeded",
    "Malformed",
    "MatchingType",
    "Misuse",
    "ObjectVerifier",
    "PeerError",
    "Reason",
    "Refused",
    "Resolver",
    "Selector",
    "TrustAnchors",
    "Undecided",
    "Upstream",
    "Usage",
    "VerifiedPeer",
    "current_connection",
    "load_credential",
    "loop_factory",
    "open_datagram_connection",
    "save_credential",
    "start_datagram_server",
    "start_server",
    "verified_peer",
]


if not TYPE_CHECKING:  # A type checker that saw this would believe in every misspelt name.

    def __getattr__(name: str) -> object:
        module = _LOADED_ON_USE.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
