"""A flood of random names at the embedded authority: signing stays within its budget, and everybody else is served."""

import secrets
import socket
from collections import Counter
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdataclass
import pytest

from dnsbound.dns.authority import Authority
from dnsbound.dns.authority_budget import SigningBudget
from dnsbound.dns.authority_zone import MemoryDirectory, MemoryZone, Zone
from dnsbound.dns.signer import Signer, ZoneKeys
from dnsbound.edge.dns_server import DnsServer, Endpoint
from dnsbound.testing.background_loop import BackgroundLoop

CARS = dns.name.from_text("cars.example.")
CAR = "car54._device.cars.example."
PER_SECOND = 20
FLOOD = 1500
NOW = 1_800_000_000.0


class CountingSigner(Signer):
    """Counts the signatures that were really made."""

    made = 0

    def sign(self, *arguments, spend, **options):
        def counted() -> None:
            spend()
            self.made += 1

        return super().sign(*arguments, spend=counted, **options)


@pytest.fixture
def signer() -> CountingSigner:
    return CountingSigner(cache=64)


@pytest.fixture
def authority(signer: CountingSigner) -> Iterator[Endpoint]:
    soa = dns.rdata.from_text("IN", "SOA", "ns.cars.example. hostmaster.cars.example. 1 7200 3600 1209600 5")
    data = MemoryZone(CARS, soa=soa, name_servers=[dns.name.from_text("ns", CARS)])
    data.add(dns.name.from_text(CAR), 60, dns.rdata.from_text("IN", "TLSA", "3 1 1 " + "ab" * 32))
    zones = MemoryDirectory([Zone(data, ZoneKeys.generate(CARS))])
    answers = Authority(zones, signer=signer, budget=SigningBudget(per_prefix=PER_SECOND))
    # The clock stands still, so that what the budget allows does not depend on how fast this machine is.
    server = DnsServer(answers.respond, port=0, clock=lambda: NOW)
    with BackgroundLoop() as loop:
        loop.run(server.start())
        try:
            yield server.endpoint
        finally:
            loop.run(server.stop())


def random_query() -> dns.message.Message:
    return dns.message.make_query(f"{secrets.token_hex(12)}.cars.example.", "TLSA", want_dnssec=True)


def test_signing_for_random_names_is_bounded_and_tcp_proves_the_source(
    authority: Endpoint, signer: CountingSigner
) -> None:
    known = dns.message.make_query(CAR, "TLSA", want_dnssec=True)
    assert len(dns.query.udp(known, authority.host, port=authority.port, timeout=5).answer) == 2
    seen: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((authority.host, authority.port))
        client.settimeout(5)
        for _ in range(FLOOD):
            query = random_query()
            client.send(query.to_wire())
            response = dns.message.from_wire(client.recv(2048))
            assert query.is_response(response)
            seen["truncated" if response.flags & dns.flags.TC else "signed"] += 1
            assert bool(response.authority) == ("TC" not in dns.flags.to_text(response.flags))
    assert signer.made == 2 * PER_SECOND
    assert seen == {"signed": 2 * PER_SECOND - 2, "truncated": FLOOD - 2 * PER_SECOND + 2}
    # What is signed already is still served from the same source, and so is who comes over TCP.
    assert len(dns.query.udp(known, authority.host, port=authority.port, timeout=5).answer) == 2
    response, over_tcp = dns.query.udp_with_fallback(random_query(), authority.host, port=authority.port, timeout=5)
    assert over_tcp
    assert len(response.authority) == 4


def test_memory_stays_bounded(authority: Endpoint, signer: CountingSigner) -> None:
    for _ in range(20):
        with socket.create_connection((authority.host, authority.port), timeout=5) as client:
            for _ in range(20):
                query = random_query()
                dns.query.send_tcp(client, query)
                response, _ = dns.query.receive_tcp(client)
                assert query.is_response(response)
    assert signer.made >= 400
    assert len(signer._denials._entries) == 64
    assert len(signer._answers._entries) == 1
