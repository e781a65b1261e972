"""RRSIGs over RRsets of test zones, with every field open to be stated wrongly.

Not a signer for real zones: it signs whatever it is told. Sections: RFC 4034 sections 3.1 (fields), 3.1.8.1 (what is
signed), 6 (canonical form).
"""

import struct
from dataclasses import dataclass
from typing import Final, cast

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.testing.zone_keys import ZoneKey
from dnsbound.times import Moment

SERIAL: Final = 1 << 32
"""RRSIG times are serial numbers modulo this (RFC 4034 section 3.1.5)."""

_FIXED: Final = struct.Struct("!HBBIIIH")
_RECORD: Final = struct.Struct("!HHI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a signature holds, in seconds since the epoch, as in the RRSIG's fields."""

    inception: int
    expiration: int

    @classmethod
    def around(cls, now: Moment, *, before: int = 3600, after: int = 86_400) -> "Window":
        """From `before` seconds before now to `after` seconds after it; either may be negative."""
        return cls(inception=int(now) - before, expiration=int(now) + after)


def sign_rrset(
    rrset: dns.rrset.RRset,
    key: ZoneKey,
    *,
    signer: dns.name.Name,
    window: Window,
    labels: int | None = None,
    original_ttl: int | None = None,
) -> RRSIG:
    """The RRSIG of one key over one RRset. A wildcard owner's `*` is not counted among its labels, as it must be."""
    counted = len(rrset.name) - 1 - int(rrset.name.is_wild())
    fixed = _FIXED.pack(
        rrset.rdtype,
        key.plan.stated_algorithm,
        counted if labels is None else labels,
        rrset.ttl if original_ttl is None else original_ttl,
        window.expiration % SERIAL,
        window.inception % SERIAL,
        key.tag,
    )
    stated = int.from_bytes(fixed[4:8])
    head = fixed + canonical_name(signer)
    signature = key.sign(head + canonical_records(rrset.name, stated, rrset))
    wire = fixed + cast("bytes", signer.to_wire()) + signature
    return cast("RRSIG", dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RRSIG, wire, 0, len(wire)))


def canonical_records(owner: dns.name.Name, original_ttl: int, records: dns.rrset.RRset) -> bytes:
    """The records of one RRset as they enter a signature: lower-cased, with the original TTL, in canonical order."""
    octets = bytearray()
    for data in sorted(record.to_digestable() for record in records):
        octets += canonical_name(owner)
        octets += _RECORD.pack(records.rdtype, dns.rdataclass.IN, original_ttl)
        octets += len(data).to_bytes(2) + data
    return bytes(octets)


def canonical_name(name: dns.name.Name) -> bytes:
    """Uncompressed, lower-case wire form of an absolute name."""
    return name.canonicalize().to_wire() or b""
