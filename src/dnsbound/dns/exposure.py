"""What denials give away: how a zone proves that a name does not exist, and what a stranger reads from the proof.

A plain NSEC names the next owner of the zone, so asking on from there lists them all. NSEC3 names hashes, which can be
collected and then tried against guesses, off line and as fast as one likes. A minimal denial names neither: it is made
for the question (white lies, black lies, compact denial).

Not here: asking (`dnsbound.edge.stranger`), and whether a proof is valid (`dnsbound.dns.denial`).

Sections: RFC 4034 section 4 and RFC 4470 (NSEC), RFC 5155 sections 3, 5 and 7.1 (NSEC3), RFC 9824 (compact denial).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import dns.rdatatype
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3

from dnsbound.dns.canonical import Key, is_at_or_below, key_of
from dnsbound.dns.messages import Response
from dnsbound.dns.nsec3 import digest_of, digest_of_label

HASH_SPACE: Final = 2**160
"""How many values an NSEC3 hash can have."""

_SHA1: Final = 1
_HASH_OCTETS: Final = 20
_NARROW: Final = 4
"""Real neighbours lie about 2**160 / names apart; what is this close was made up for the question."""
_HOSTNAME: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_*")


class DenialStyle(StrEnum):
    """How a server proves that a name does not exist."""

    UNSIGNED = "unsigned"
    """Not at all."""
    NSEC = "nsec"
    """By the names beside it, which exist: whoever asks on lists the zone."""
    NSEC_MINIMAL = "nsec-minimal"
    """By an NSEC made for the question (RFC 4470, RFC 9824): it names nothing that exists."""
    NSEC3 = "nsec3"
    """By hashes of names that exist: they can be collected, and guesses tried against them."""
    NSEC3_MINIMAL = "nsec3-minimal"
    """By hashes made for the question, which no name has (RFC 7129 section 5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashSettings:
    """How a zone hashes names (RFC 5155 section 3.1)."""

    salt: bytes
    iterations: int

    def digest(self, name: Key) -> bytes:
        return digest_of(name, self.salt, self.iterations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """What one denial gave away.

    names: owners that exist, as far as the zone's NSEC records say. intervals: of NSEC3, each from the hash of an owner
    to the next hash. settings: of NSEC3.
    """

    style: DenialStyle
    names: frozenset[Key] = frozenset()
    intervals: tuple[tuple[bytes, bytes], ...] = ()
    settings: HashSettings | None = None


def read_denial(response: Response, zone: Key) -> Denied:
    """The proof in a response to a question for a name that does not exist."""
    intervals = list(_nsec(response))
    if intervals:
        real = {name for interval in intervals for name in interval if _is_real(name, zone)}
        # An interval whose end is made up was made up whole: its beginning may be the name that was asked for.
        minimal = any(not _is_real(end, zone) for _, end in intervals)
        style = DenialStyle.NSEC_MINIMAL if minimal else DenialStyle.NSEC
        return Denied(style=style, names=frozenset() if minimal else frozenset(real))
    hashed = list(_nsec3(response))
    if not hashed:
        return Denied(style=DenialStyle.UNSIGNED)
    settings = hashed[0][2]
    wide = tuple((owner, end) for owner, end, _ in hashed if width_of((owner, end)) > _NARROW)
    style = DenialStyle.NSEC3 if wide else DenialStyle.NSEC3_MINIMAL
    return Denied(style=style, intervals=wide, settings=settings)


def next_owner(response: Response, owner: Key, zone: Key) -> Key | None:
    """The owner after this one, from the answer to a question for its NSEC; None where none is told or it is made up.

    The last owner of a zone leads back to the first (RFC 4034 section 4.1.1).
    """
    found = response.answer.get((owner, int(dns.rdatatype.NSEC)))
    for rdata in [] if found is None else found.rdatas:
        if isinstance(rdata, NSEC):
            following = key_of(rdata.next)
            return following if _is_real(following, zone) else None
    return None


def width_of(interval: tuple[bytes, bytes]) -> int:
    """How far the next hash is. A zone of one name leads from its hash to itself, once around."""
    owner, end = (int.from_bytes(digest, "big") for digest in interval)
    return (end - owner) % HASH_SPACE or HASH_SPACE


def guessed(hashes: Iterable[bytes], names: Iterable[Key], settings: HashSettings) -> Iterator[Key]:
    """Those of `names` whose hash is among `hashes`: what whoever collected them finds by trying."""
    wanted = frozenset(hashes)
    return (name for name in names if settings.digest(name) in wanted)


def _nsec(response: Response) -> Iterator[tuple[Key, Key]]:
    for (owner, rdtype), rrset in (*response.authority.items(), *response.answer.items()):
        if rdtype == dns.rdatatype.NSEC:
            yield from ((owner, key_of(rdata.next)) for rdata in rrset.rdatas if isinstance(rdata, NSEC))


def _nsec3(response: Response) -> Iterator[tuple[bytes, bytes, HashSettings]]:
    for (owner, rdtype), rrset in response.authority.items():
        if rdtype != dns.rdatatype.NSEC3:
            continue
        digest = digest_of_label(owner[-1]) if owner else None
        for rdata in rrset.rdatas:
            if isinstance(rdata, NSEC3) and digest is not None and _is_understood(rdata):
                yield digest, rdata.next, HashSettings(salt=rdata.salt, iterations=rdata.iterations)


def _is_understood(rdata: NSEC3) -> bool:
    return rdata.algorithm == _SHA1 and len(rdata.next) == _HASH_OCTETS


def _is_real(name: Key, zone: Key) -> bool:
    """Whether a name could be a client's or a host's. Made-up ends have labels of other octets, zeros above all."""
    return is_at_or_below(name, zone) and all(_HOSTNAME.issuperset(label) for label in name)
