"""Everything that may arrive at a server's UDP socket: the table of associations, with a host that only counts.

The input is a list of datagrams, each from one of four addresses: a number of the address, a length of two octets, and
as many octets. The promises: an address that has no association gets less than it sent, there is at most one
association for each, none is kept for ever, and nobody is judged, since no seed has a signature for this server.
"""

from functools import cache
from typing import Any

from dnsbound import iana
from dnsbound.edge.association_table import AssociationTable, DatagramLimits, Served
from dnsbound.edge.context import Context
from dnsbound.edge.cookie_keys import CookieKeys
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.tls.association import Association
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from fuzz.handshakes import client, credential
from fuzz.target import Target

ADDRESSES = [("192.0.2.1", 1001), ("192.0.2.1", 1002), ("192.0.2.77", 1001), ("198.51.100.1", 1001)]
BOUNDS = DatagramLimits(associations=3, associations_per_source=2)
KEY = b"k" * 32
STEP_SECONDS = 0.7
"""Between two datagrams, by the table's clock."""


class Nobody:
    """An authenticator that is never to be asked."""

    door = "fuzz"

    def authenticate_blocking(self, claim: Claim) -> VerifiedPeer:
        raise AssertionError(f"{claim.name} was judged")

    async def authenticate(self, claim: Claim) -> VerifiedPeer:
        return self.authenticate_blocking(claim)


class Counting:
    """A host: what it was told to send, by address."""

    def __init__(self) -> None:
        self.sent: dict[Any, int] = dict.fromkeys(ADDRESSES, 0)

    def send(self, datagram: bytes, address: Any) -> None:  # noqa: ANN401 (a socket address)
        self.sent[address] += len(datagram)

    def judge(self, served: Served, claim: Claim) -> None:
        raise AssertionError(f"{claim.name} has proved a key from {served.address}")

    def opened(self, served: Served, claim: Claim | None) -> None:
        raise AssertionError(f"{served.address} is in: {claim}")

    def arrived(self, served: Served) -> None:
        raise AssertionError(f"data from {served.address}")

    def ended(self, served: Served) -> None:
        raise AssertionError(f"{served.address} was never in")


@cache
def context() -> Context:
    return Context.server(
        credential(),
        authenticator=Nobody(),
        clientid=iana.DANE_CLIENTID,
        datagram=True,
        handshakes_per_source=2,
    )


def packed(*datagrams: tuple[int, bytes]) -> bytes:
    return b"".join(bytes((place,)) + len(octets).to_bytes(2, "big") + octets for place, octets in datagrams)


def unpacked(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(octets) >= 3:
        size = int.from_bytes(octets[1:3], "big")
        found.append((octets[0] % len(ADDRESSES), octets[3 : 3 + size]))
        octets = octets[3 + size :]
    return found


def arrive(octets: bytes) -> object:
    host = Counting()
    keys = CookieKeys(make=lambda: KEY)
    table = AssociationTable(DatagramAcceptor(context()), context().handshake_slots, host, bounds=BOUNDS, keys=keys)
    now = 0.0
    for place, datagram in unpacked(octets):
        address = ADDRESSES[place]
        before, known = host.sent[address], {served.address for served in table.all()}
        table.receive(datagram, address, now)
        if address not in known and len(table) == len(known) and host.sent[address] - before >= max(len(datagram), 1):
            raise AssertionError("an unverified address got as much as it sent")
        if len(table) > min(BOUNDS.associations, len(ADDRESSES)):
            raise AssertionError("more associations than allowed")
        now += STEP_SECONDS
        table.run_due(now)
    end = now + 10_000
    table.run_due(end)
    if len(table) or table.next_due() is not None:
        raise AssertionError("an unfinished handshake is kept for ever")
    return host.sent


def seeds() -> list[bytes]:
    """First hellos from each address; and what a client says from one of them, up to its last flight, of which the
    answer to another server's share is all that can be wrong."""
    made = []
    for own in (iana.CertificateType.X509, iana.CertificateType.RAW_PUBLIC_KEY):
        near = client(own, datagram=True)
        near.do_handshake()
        first, *_ = near.take_datagrams()
        request = met(first)
        assert isinstance(request, bytes)
        near.feed_datagram(request)
        near.do_handshake()
        second, *_ = near.take_datagrams()  # on a slow machine it may be there twice
        association = met(second)
        assert isinstance(association, Association)
        association.begin()
        for datagram in association.take():
            near.feed_datagram(datagram)
        near.do_handshake()
        last = near.take_datagrams()
        made.append(packed(*((place, first) for place in range(len(ADDRESSES)))))
        made.append(packed((0, first), (0, second), *((0, datagram) for datagram in last)))
        made.append(packed((0, second), (0, second), (1, second), (0, first), (0, second[:60]), (2, b"")))
    return made


def met(datagram: bytes) -> bytes | Association | None:
    return DatagramAcceptor(context()).receive(datagram, address=ADDRESSES[0], keys=(KEY,), source="", queue=1)


ASSOCIATION_TARGETS: dict[str, Target] = {"dtls-associations": Target(arrive, seeds)}
