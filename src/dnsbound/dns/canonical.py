"""Canonical form and order of DNS names and RRsets (RFC 4034 section 6).

A `Key` is a name turned around: lower-case labels from the root down, the root itself being empty. Keys compare, hash
and nest as DNSSEC needs: `a < b` is the canonical order of section 6.1, `b[:len(a)] == a` means "b is at or below a".
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsbound.errors import Malformed

Key: TypeAlias = tuple[bytes, ...]

_RR_FIXED: Final = struct.Struct("!HHI")

ROOT: Key = ()
WILDCARD = b"*"


def key_of(name: dns.name.Name) -> Key:
    """The Key of an absolute name."""
    labels = [label.lower() for label in name.labels]
    labels.pop()
    labels.reverse()
    return tuple(labels)


def name_of(key: Key) -> dns.name.Name:
    """The absolute, lower-case name of a Key; Malformed if too long for the DNS, which only an attacker makes it."""
    try:
        return dns.name.Name((*reversed(key), b""))
    except dns.exception.DNSException as error:
        raise Malformed(f"DNS name: {error}") from None


@lru_cache(maxsize=4096)
def text_of(key: Key) -> str:
    """The name as people write it, with its final dot."""
    return name_of(key).to_text()


def is_at_or_below(key: Key, zone: Key) -> bool:
    return key[: len(zone)] == zone


def is_below(key: Key, zone: Key) -> bool:
    return len(key) > len(zone) and key[: len(zone)] == zone


def common_ancestor(one: Key, other: Key) -> Key:
    """The longest name that both are at or below."""
    depth = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        depth += 1
    return one[:depth]


def wire_of(key: Key) -> bytes:
    """Canonical wire form: uncompressed, lower case (RFC 4034 section 6.2)."""
    out = bytearray()
    for label in reversed(key):
        out.append(len(label))
        out += label
    out.append(0)
    return bytes(out)


def canonical_forms(rdatas: Iterable[dns.rdata.Rdata]) -> tuple[bytes, ...]:
    """Record data in canonical form and order, duplicates once, each behind its length (RFC 4034 section 6.3)."""
    forms = sorted({rdata.to_digestable() for rdata in rdatas})
    return tuple([len(form).to_bytes(2, "big") + form for form in forms])


def rrset_octets(owner: Key, rdtype: int, original_ttl: int, forms: Iterable[bytes]) -> bytes:
    """The RR(1) | RR(2) | ... of RFC 4034 section 3.1.8.1, from `canonical_forms`."""
    fixed = wire_of(owner) + _RR_FIXED.pack(rdtype, dns.rdataclass.IN, original_ttl)
    return b"".join([fixed + form for form in forms])
