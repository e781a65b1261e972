"""dig and kdig at the embedded authority: flags, codes, sizes and transports as other people's parsers read them."""

import re

import pytest

from dnsbound.testing import Organisation, Transport, World
from interop.daemon import program, run

pytestmark = pytest.mark.peer("dig", "kdig")


@pytest.fixture
def cars(world: World) -> Organisation:
    organisation = world.organisation("cars.example")
    organisation.device("car54")
    return organisation


def ask(world: World, client: str, *arguments: str) -> str:
    address = world.authority_address
    done = run([program(client), f"@{address.host}", "-p", str(address.port), *arguments])
    assert "malformed" not in done.stdout.lower() + done.stderr.lower(), done.stdout
    return done.stdout


def dig(world: World, *arguments: str) -> str:
    return ask(world, "dig", "+norec", *arguments)


def status(text: str) -> str:
    found = re.search(r"status: ([A-Z]+)", text)
    assert found, text
    return found[1]


@pytest.mark.usefixtures("cars")
def test_nxdomain_only_for_those_who_ask_without_dnssec(world: World) -> None:
    """dig clears the CO bit of `+ednsflags`; what CO changes is tested in tests/unit/test_authority.py."""
    name = "nope.cars.example"
    assert status(dig(world, "+dnssec", name, "TLSA")) == "NOERROR"
    assert status(dig(world, "+nodnssec", name, "TLSA")) == "NXDOMAIN"
    assert status(dig(world, "+noedns", name, "TLSA")) == "NXDOMAIN"
    assert status(dig(world, "+noedns", "_device.cars.example", "TLSA")) == "NOERROR"


@pytest.mark.usefixtures("cars")
def test_compact_denial_as_dig_shows_it(world: World) -> None:
    text = dig(world, "+dnssec", "+noall", "+authority", "nope.cars.example", "TLSA")
    denial = r"^nope\.cars\.example\.\s.*NSEC\s+\\000\.nope\.cars\.example\. RRSIG NSEC TYPE128$"
    assert re.search(denial, text, re.MULTILINE), text
    text = dig(world, "+dnssec", "+noall", "+authority", "_device.cars.example", "TLSA")
    assert re.search(r"NSEC\s+\\000\._device\.cars\.example\. RRSIG NSEC$", text, re.MULTILINE)


@pytest.mark.usefixtures("cars")
def test_the_askers_spelling(world: World) -> None:
    assert "CaR54._DeVice.cars.EXAMPLE." in dig(world, "+noall", "+answer", "CaR54._DeVice.cars.EXAMPLE", "TLSA")


@pytest.mark.usefixtures("cars")
def test_transfers_updates_and_odd_questions(world: World) -> None:
    assert "Transfer failed" in dig(world, "cars.example", "AXFR")
    assert "IN\tSOA" not in dig(world, "+notcp", "cars.example", "IXFR=1")
    assert status(dig(world, "elsewhere.test.", "A")) == "NXDOMAIN"  # World's own root denies it
    assert status(dig(world, "-c", "CH", "version.bind", "TXT")) == "REFUSED"
    assert status(dig(world, "+edns=7", "+noednsnegotiation", "cars.example", "SOA")) == "BADVERS"
    assert status(dig(world, "+opcode=NOTIFY", "cars.example", "SOA")) == "NOTIMP"
    odd = dig(world, "+dnssec", "cars.example", "TYPE128")
    assert status(odd) == "FORMERR"
    assert "EDE: 30" in odd
    assert "ANSWER: 1" in dig(world, "+notcp", "+nodnssec", "cars.example", "ANY")


def test_large_answers_come_over_tcp(world: World, cars: Organisation) -> None:
    for number in range(40):
        cars.publish("many", f"TLSA 3 1 1 {number:064x}")
    assert "flags: qr aa tc" in dig(world, "+ignore", "+dnssec", "many.cars.example", "TLSA")
    world.queries.clear()
    text = dig(world, "+dnssec", "many.cars.example", "TLSA")
    assert "ANSWER: 41" in text
    assert [query.transport for query in world.queries] == [Transport.UDP, Transport.TCP]


@pytest.mark.usefixtures("cars")
def test_one_connection_for_many_questions(world: World) -> None:
    names = [word for number in range(5) for word in (f"r{number}.cars.example", "TLSA")]
    text = dig(world, "+tcp", "+keepopen", "+dnssec", *names)
    assert text.count("status: NOERROR") == 5
    assert {query.transport for query in world.queries} == {Transport.TCP}


@pytest.mark.usefixtures("cars")
def test_cookies_padding_and_client_subnets_are_passed_over(world: World) -> None:
    text = dig(world, "+cookie=0123456789abcdef", "+subnet=192.0.2.0/24", "+nsid", "+dnssec", "cars.example", "SOA")
    assert status(text) == "NOERROR"
    text = ask(world, "kdig", "+padding=128", "+dnssec", "car54._device.cars.example", "TLSA")
    assert status(text) == "NOERROR"
    assert "RRSIG" in text
