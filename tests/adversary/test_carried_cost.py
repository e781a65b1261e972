"""Chains made to be expensive, by a client that holds its key and is on the list: one budget each, and no question.

The root here is the attacker's own zone, which is more than an attacker has: its keys sign whatever costs most.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.chain import AuthenticationChain
from dnsbound.dns.chain_judging import ChainLimits
from dnsbound.edge.authenticator import Authenticator
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from unit.claims import CREDENTIAL, DOOR, NAME, Records, answer, claim

NOW = 1_800_000_000
ZONE = dns.name.from_text("cars.example.")
OWNER = dns.name.from_text(NAME)
PRIVATE = rsa.generate_private_key(65537, 2048)
KEY: DNSKEY = dns.dnssec.make_dnskey(PRIVATE.public_key(), Algorithm.RSASHA256, flags=257)
ANCHORS = TrustAnchors.of([(ZONE, dns.dnssec.make_ds(ZONE, KEY, "SHA256"))])
RECORD = dns.rrset.from_text(OWNER, 300, "IN", "TLSA", CREDENTIAL.tlsa().to_text())
SECONDS = 0.5
"""Of this process's time, with much room for slow machines."""
NOT_IN = {Reason.BOGUS, Reason.WORK_BUDGET, Reason.TLSA_MISMATCH, Reason.NO_TLSA}
Sets = Iterator[dns.rrset.RRset]


def signed(rrset: dns.rrset.RRset, *, spoiled: int = 0) -> Sets:
    signature = dns.dnssec.sign(rrset, PRIVATE, ZONE, KEY, inception=NOW - 10, expiration=NOW + 1000)
    yield rrset
    yield dns.rrset.from_rdata_list(rrset.name, 300, broken(signature, spoiled) if spoiled else [signature])


def broken(signature: RRSIG, count: int) -> list[RRSIG]:
    octets = signature.signature
    return [signature.replace(signature=n.to_bytes(4, "big") + octets[4:]) for n in range(count)]


def keys(*more: DNSKEY) -> Sets:
    return signed(dns.rrset.from_rdata_list(ZONE, 300, [*more, KEY]))


def octets_of(sets: list[dns.rrset.RRset]) -> bytes:
    return AuthenticationChain(tuple((rrset.name, rrset.ttl, rdata) for rrset in sets for rdata in rrset)).to_wire()


def keytrap() -> Sets:
    """Keys of one tag, and signatures by that tag of which none is good."""
    order = random.Random(1)
    words = [KEY.key[at : at + 2] for at in range(6, len(KEY.key) - 2, 2)]
    colliding = []
    for _ in range(12):
        order.shuffle(words)
        colliding.append(KEY.replace(key=KEY.key[:6] + b"".join(words) + KEY.key[-2:]))
    yield from keys(*colliding)
    yield from signed(RECORD, spoiled=30)


def spoiled_denials() -> Sets:
    """Every denial is tried before it is known to be none."""
    yield from keys()
    for number in range(40):
        owner = f"n{number}.cars.example."
        yield from signed(dns.rrset.from_text(owner, 300, "IN", "NSEC", f"n{number}a.cars.example. A"), spoiled=1)


def hashes() -> Sets:
    yield from keys()
    digest = dns.dnssec.nsec3_hash("cars.example.", b"\xab" * 32, 100, 1).lower()
    data = f"1 0 100 {'ab' * 32} {'0' * 31}1 NS SOA"
    yield from signed(dns.rrset.from_text(f"{digest}.cars.example.", 300, "IN", "NSEC3", data))


def aliases() -> Sets:
    yield from keys()
    name = OWNER
    for number in range(30):
        target = f"x{number}.cars.example."
        yield from signed(dns.rrset.from_text(name, 300, "IN", "CNAME", target))
        name = dns.name.from_text(target)


def one_large_set() -> Sets:
    yield from keys()
    yield from signed(dns.rrset.from_text_list(OWNER, 300, "IN", "TLSA", [f"3 1 1 {n:064x}" for n in range(100)]))


HOSTILE: list[Callable[[], Sets]] = [keytrap, spoiled_denials, hashes, aliases, one_large_set]


@pytest.fixture(params=HOSTILE, ids=lambda hostile: hostile.__name__)
def chain(request: pytest.FixtureRequest) -> bytes:
    octets = octets_of(list(request.param()))
    assert len(octets) <= limits.CARRIED_OCTETS.default
    return octets


def door(resolver: Records | None, *names: str) -> Authenticator:
    allowed = CarriedChains(names, anchors=ANCHORS, before_asking=True)
    access = AccessList.allowing(DOOR, names)
    return Authenticator(
        access, resolver, door=DOOR, clock=lambda: float(NOW), carried_chains=allowed, danger_any_clock=True
    )


def test_an_honest_chain_of_that_zone_is_taken() -> None:
    honest = octets_of([*keys(), *signed(RECORD)])
    assert door(None, NAME).authenticate_blocking(claim(carried_chain=honest)).record == CREDENTIAL.tlsa()


def test_a_chain_costs_one_budget_and_admits_nobody(chain: bytes) -> None:
    at_the_door = door(None, NAME)
    began = time.process_time()
    with pytest.raises((Refused, Undecided)) as caught:
        at_the_door.authenticate_blocking(claim(carried_chain=chain))
    assert time.process_time() - began < SECONDS
    assert caught.value.reason in NOT_IN


def test_it_makes_nobody_ask_for_more_than_its_own_name(chain: bytes) -> None:
    """With a resolver: at most the one question that a client without a chain causes as well."""
    resolver = Records(answer(NAME, CREDENTIAL.tlsa(), validated_at=float(NOW), earliest_expiry=NOW + 60.0))
    with contextlib.suppress(Refused, Undecided):
        door(resolver, NAME).authenticate_blocking(claim(carried_chain=chain))
    assert resolver.asked in ([], [(NAME, False)])


def test_a_name_of_many_labels_under_costly_denials() -> None:
    deep = "a." * 60 + "cars.example"
    began = time.process_time()
    with pytest.raises(Undecided) as caught:
        door(None, deep).authenticate_blocking(claim(deep, carried_chain=octets_of(list(hashes()))))
    assert time.process_time() - began < SECONDS
    assert caught.value.reason in {Reason.BOGUS, Reason.WORK_BUDGET}


def test_the_octets_are_counted_before_they_are_read() -> None:
    huge = b"\x00" * (limits.CARRIED_OCTETS.default + 1)
    with pytest.raises(Undecided) as caught:
        door(None, NAME).authenticate_blocking(claim(carried_chain=huge))
    assert caught.value.reason is Reason.WORK_BUDGET


def test_the_records_are_counted_while_they_are_read() -> None:
    record = b"\x00" + bytes.fromhex("0001000100000000000400000000")
    most = limits.CARRIED_RECORDS.default
    for count, reason in ((most, Reason.BOGUS), (most + 1, Reason.WORK_BUDGET)):
        with pytest.raises(Undecided) as caught:
            door(None, NAME).authenticate_blocking(claim(carried_chain=record * count))
        assert caught.value.reason is reason


def test_the_worst_that_the_limits_allow() -> None:
    """An operator may raise them; they still end."""
    spend = ChainLimits(octets=limits.CARRIED_OCTETS.maximum, records=limits.CARRIED_RECORDS.maximum)
    allowed = CarriedChains([NAME], anchors=ANCHORS, spend=spend)
    at_the_door = Authenticator(
        AccessList.allowing(DOOR, [NAME]),
        None,
        door=DOOR,
        clock=lambda: float(NOW),
        carried_chains=allowed,
        danger_any_clock=True,
    )
    sets = [*keys()]
    for number in range(150):
        owner = f"n{number}.cars.example."
        nsec = dns.rrset.from_text(owner, 300, "IN", "NSEC", f"n{number}a.cars.example. A")
        sets += [*signed(nsec, spoiled=1)]
    began = time.process_time()
    with pytest.raises(Undecided) as caught:
        at_the_door.authenticate_blocking(claim(carried_chain=octets_of(sets)))
    assert time.process_time() - began < SECONDS
    assert caught.value.reason is Reason.WORK_BUDGET
