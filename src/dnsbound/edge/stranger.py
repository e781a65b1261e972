"""What anybody may ask a zone's authoritative server, slowly and within bounds: for all of it, for names that are not
there, and from one name on to the next. To see what one's own zone gives away; the answers are not validated.

Sections: RFC 5936 (AXFR), RFC 4034 section 4 (NSEC), RFC 5155 (NSEC3).
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final

import dns.name
import dns.rcode
import dns.rdatatype

from dnsbound.dns.canonical import Key, key_of, name_of
from dnsbound.dns.exposure import DenialStyle, Denied, next_owner, read_denial
from dnsbound.dns.hash_ring import HashRing
from dnsbound.dns.messages import Query, Response, find
from dnsbound.dns.served import lame_because
from dnsbound.edge.nameservers import Nameserver
from dnsbound.edge.probe import probe
from dnsbound.errors import Misuse
from dnsbound.limits import STRANGER_HASHES, Budget
from dnsbound.provision.labels import unguessable_label
from dnsbound.provision.publish.dns_stream import DnsStream
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.publisher import ServerRefused, ServerUnclear
from dnsbound.times import Seconds

_TLSA: Final = dns.rdatatype.TLSA
_SOA: Final = dns.rdatatype.SOA
_SILENT: Final = 16
"""Denials in a row that do not tell what was asked: a server that makes them up is not asked on."""


class Stranger:
    """Asks one server about one zone. seconds: for an answer. per_second: questions at most.

    Every method raises OSError when the server is silent or cannot be reached, Malformed for what is no DNS message,
    ServerUnclear for a broken connection, ServerRefused from a server that does not answer for the zone.
    """

    def __init__(
        self, server: Nameserver, zone: dns.name.Name, *, seconds: Seconds = 3.0, per_second: float = 50.0
    ) -> None:
        if per_second <= 0:
            raise Misuse("a server cannot be asked less than never")
        self.server: Final = server
        self._zone = zone
        self._key = key_of(zone)
        self._seconds = seconds
        self._pause = 1.0 / per_second
        self._next_at = 0.0

    def may_transfer(self) -> bool:
        """Whether the server hands out the whole zone; only the first message of it is read."""
        response = self._ask_stream(self._zone, dns.rdatatype.AXFR)
        begins = find(response.answer, self._key, int(_SOA)) is not None
        return response.rcode == dns.rcode.NOERROR and begins

    def denied(self) -> Denied:
        """The proof that a name nobody has does not exist."""
        return read_denial(self._ask(self._nobody(), _TLSA), self._key)

    def denial_ttl(self) -> int | None:
        """Seconds such a proof may be remembered (RFC 2308 section 5); None where the server does not say."""
        return self._ask(self._nobody(), _TLSA).negative_ttl

    def signature_lives(self) -> list[Seconds]:
        """From inception to expiration, of each signature over the zone's SOA."""
        found = find(self._ask(self._zone, _SOA).answer, self._key, int(_SOA))
        signatures = [] if found is None else found.signatures
        return [float((signature.expiration - signature.inception) % 2**32) for signature in signatures]

    def walk(self, limit: int) -> Iterator[Key]:
        """Owners below the zone's top in canonical order, found by asking each for the next; at most `limit`."""
        owner = self._key
        for _ in range(limit):
            following = next_owner(self._ask(name_of(owner), dns.rdatatype.NSEC), owner, self._key)
            if following is None or following <= owner:
                return
            yield following
            owner = following

    def hashes(self, questions: int, progress: Callable[[int], None]) -> HashRing | None:
        """The NSEC3 chain of the zone as so many questions tell it, fewer once it closes; None where denials tell none.

        Only names whose hash no known interval covers are asked for; finding them is bounded by STRANGER_HASHES.
        """
        ring: HashRing | None = None
        work = Budget(STRANGER_HASHES)
        names = self._nobodies()
        silent = 0
        for _ in range(questions):
            name = _uncovered(names, ring, work)
            if name is None:
                break
            denied = read_denial(self._ask(name_of(name), _TLSA), self._key)
            progress(1)
            if denied.style is not DenialStyle.NSEC3 or denied.settings is None:
                break
            if ring is None or ring.settings != denied.settings:
                ring = HashRing(denied.settings)  # another salt is another chain
            fresh = [ring.add(interval) for interval in denied.intervals]
            silent = 0 if any(fresh) else silent + 1
            if silent > _SILENT or ring.is_closed():
                break
        return ring

    def _nobodies(self) -> Iterator[Key]:
        """Names nobody has, without end: one label that nobody guesses, and a number."""
        stem = unguessable_label()
        return ((*self._key, f"{stem}{number}".encode()) for number in itertools.count())

    def _nobody(self) -> dns.name.Name:
        return dns.name.Name((unguessable_label().encode(), *self._zone.labels))

    def _ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Response:
        now = time.monotonic()
        time.sleep(max(0.0, self._next_at - now))
        self._next_at = max(now, self._next_at) + self._pause
        response = probe(self.server, name, rdtype, timeout=self._seconds)
        if response.truncated:
            response = self._ask_stream(name, rdtype)
        lame = lame_because(response)
        if lame is not None:
            raise ServerRefused(f"{self.server.label} {lame}")
        return response

    def _ask_stream(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Response:
        query = Query(id=secrets.randbits(16), name=name, rdtype=rdtype)
        stream = DnsStream(Endpoint(host=self.server.address, port=self.server.port), self._seconds)
        try:
            stream.send([query.to_wire()])
            wire = stream.receive()
        finally:
            stream.close()
        if not query.answered_by(wire):
            raise ServerUnclear(f"{self.server.label} answers what was not asked")
        return Response.from_wire(wire, source=self.server.label)


def _uncovered(names: Iterator[Key], ring: HashRing | None, work: Budget) -> Key | None:
    """The next name whose denial is not known yet; None where the work is spent before one is found."""
    if ring is None:
        return next(names)
    cost = ring.settings.iterations + 1
    while work.left >= cost:
        work.spend(cost)
        name = next(names)
        if not ring.covers(ring.settings.digest(name)):
            return name
    return None
