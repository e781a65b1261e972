"""What a session ticket of ours carries: the claim, so that a resumed session is judged again like a full handshake.

A TLS 1.3 resumption has neither CertificateRequest nor Certificate (RFC 9846 section 4.4.2), and OpenSSL keeps at most
the leaf. So the name, where it came from, and the whole credential travel inside the ticket, sealed with the door's
ticket key. Nothing here is a verdict: the engine looks the name up again. A resumption proves that its client holds the
ticket, not the private key, so the moment after which the key must be shown to be held goes along from ticket to
ticket; without it, whoever stole one would be in for as long as the record stands (RFC 9846 section 4.7.1).

    octet version (2); octet name source; POSIX seconds (8 octets); name<1..255>; octet kind (0 X.509, 2 raw key);
    entry<1..2^24-1> ...
"""

from typing import Final

from dnsbound.errors import Malformed
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.verify.claim import NameSource, Presented
from dnsbound.wire import Reader, prefixed

MAX_TICKET_OCTETS: Final = 16384
"""What the native engine takes; a longer chain is not resumed."""

_VERSION: Final = 2
_SOURCE_CODES: Final = {NameSource.EXTENSION: 0, NameSource.SAN: 1}
_SOURCES: Final = {code: source for source, code in _SOURCE_CODES.items()}


def seal_in(name: ClientName, source: NameSource, presented: Presented, ends: int) -> bytes:
    """Application data for the ticket of an admitted client. ends: POSIX seconds, when a full handshake is due."""
    entries: tuple[bytes, ...]
    if presented.raw_public_key is not None:
        kind, entries = CertificateType.RAW_PUBLIC_KEY, (presented.raw_public_key,)
    else:
        kind, entries = CertificateType.X509, presented.chain
    head = (
        bytes((_VERSION, _SOURCE_CODES[source]))
        + ends.to_bytes(8, "big")
        + prefixed(name.to_wire(), 1)
        + bytes((kind,))
    )
    return head + b"".join(prefixed(entry, 3) for entry in entries)


def take_out(application_data: bytes) -> tuple[ClientName, NameSource, Presented, int]:
    """What `seal_in` was given; Malformed for anything else."""
    reader = Reader(application_data, "ticket")
    version, code = reader.uint(1), reader.uint(1)
    if version != _VERSION or code not in _SOURCES:
        raise Malformed("ticket of another version", 0)
    ends = reader.uint(8)
    name = ClientName.from_wire(reader.prefixed(1))
    kind = reader.uint(1)
    entries = []
    while reader.remaining:
        entries.append(reader.prefixed(3))
    if kind == CertificateType.X509 and entries:
        return name, _SOURCES[code], Presented(chain=tuple(entries)), ends
    if kind == CertificateType.RAW_PUBLIC_KEY and len(entries) == 1:
        return name, _SOURCES[code], Presented(raw_public_key=entries[0]), ends
    raise Malformed("ticket without a credential", reader.offset)
