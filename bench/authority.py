"""Answers per second of the embedded authority, without sockets: a query's octets in, a response's octets out.

One thread of Python. Signatures made: each name is asked for the first time. Signatures kept: asked before.
"""

import time
from collections.abc import Iterator

import dns.message
import dns.rdatatype

from bench.table import Table
from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World

ZONE = "cars.example"
TTL = 300


def measure(names: int, rounds: int) -> Table:
    """Answers per second of CPU, the most of several rounds; each round begins without signatures."""
    world = World()
    cars = world.organisation(ZONE)
    for index in range(names):
        record = TLSA(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256, index.to_bytes(32, "big"))
        cars.publish(_present(index), record, ttl=TTL)
    kinds = {
        "TLSA record": [_query(_present(index)) for index in range(names)],
        "denial (RFC 9824)": [_query(f"truck{index}._device.{ZONE}") for index in range(names)],
    }
    table = Table("Embedded authority, in process", ["answer", "signature", "answers per second", "us each"])
    for label, queries in kinds.items():
        best = [float("inf"), float("inf")]
        for _ in range(rounds):
            best = list(map(min, best, _seconds(world, queries)))
        for made, seconds in zip(("made", "kept"), best, strict=True):
            table.row(label, made, f"{1 / seconds:,.0f}", f"{seconds * 1e6:.0f}")
    return table


def _present(index: int) -> str:
    return f"car{index}._device.{ZONE}"


def _query(name: str) -> bytes:
    return dns.message.make_query(name, dns.rdatatype.TLSA, want_dnssec=True).to_wire()


def _seconds(world: World, queries: list[bytes]) -> Iterator[float]:
    # A stream, so that no budget of a UDP source stands in the way.
    arrival = Arrival(source="192.0.2.1", transport=Transport.TCP, now=time.time())
    authority = Authority(world.zones)
    for _ in range(2):
        start = time.process_time()
        for query in queries:
            response = authority.respond(query, arrival)
            assert response is not None
        yield (time.process_time() - start) / len(queries)
