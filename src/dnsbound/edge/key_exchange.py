"""Which key exchange a Context offers and takes: hybrid with ML-KEM-768, or X25519 alone where octets are dear.

X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem) resists a recording that a quantum computer opens later. It is spoken in TLS
1.3 alone, and takes 1184 octets more from the client and 1088 more from the server than X25519. Signatures are another
matter: that is the kind of key of a credential.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from dnsbound.edge.context_datagram import Datagrams
from dnsbound.iana import TLS_1_3
from dnsbound.tls.errors import TLSMisuse


class KeyExchange(StrEnum):
    """A choice of groups; `Context.set_groups` takes any others."""

    DEFAULT = "default"
    """X25519MLKEM768 first, X25519 with peers that do not have it: both shares are in the ClientHello."""
    HYBRID_ONLY = "hybrid-only"
    """X25519MLKEM768, and no connection without it."""
    X25519 = "x25519"
    """X25519 alone and no padding, for constrained devices and links."""


_GROUPS: Final = MappingProxyType(
    {KeyExchange.DEFAULT: None, KeyExchange.HYBRID_ONLY: "X25519MLKEM768", KeyExchange.X25519: "X25519"}
)

_PADDED_HELLO: Final = 1 << 4
"""SSL_OP_TLSEXT_PADDING, which Python's `ssl` sets: a ClientHello of 256 to 511 octets is padded to 512, for a load
balancer of 2014."""


def exchanged_by(
    choice: KeyExchange | str, *, speaks_tls_1_2: bool, over: Datagrams | None, options: int
) -> dict[str, Any]:
    """The settings of a choice. speaks_tls_1_2: the Context was asked to; options: its SSL_OP_ bits.

    TLSMisuse where the choice cannot be kept."""
    try:
        choice = KeyExchange(choice)
    except ValueError:
        raise TLSMisuse(f"key_exchange is {', '.join(KeyExchange)}, not {choice!r}") from None
    if choice is KeyExchange.DEFAULT:
        return {}
    if over is not None and over.constrained:
        raise TLSMisuse("a constrained Context has the groups of its profile and no others")
    if choice is KeyExchange.X25519:
        return {"groups": _GROUPS[choice], "options": options & ~_PADDED_HELLO}
    if speaks_tls_1_2 or over is not None:
        raise TLSMisuse("X25519MLKEM768 is spoken in TLS 1.3 alone")
    # Lowered again, the version would find no group, and no cipher suite that does without one.
    return {"groups": _GROUPS[choice], "minimum": TLS_1_3, "ciphers": "ECDHE"}
