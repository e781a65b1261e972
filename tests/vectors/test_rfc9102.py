"""The eight chains of RFC 9102 appendix A: each is judged at its own time, and at no other."""

import calendar
import json
from pathlib import Path
from typing import Any

import dns.name
import dns.rdata
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.dns.chain import AuthenticationChain, ChainExtension
from dnsbound.dns.chain_building import ChainBuilding
from dnsbound.dns.validator import validate
from dnsbound.errors import Malformed

FILE = json.loads((Path(__file__).parent / "rfc9102-vectors.json").read_text())
VECTORS = {vector["id"]: vector for vector in FILE["vectors"]}
ANCHORS = TrustAnchors.from_text(FILE["trust_anchor_ds"])
BEGINS = calendar.timegm((2018, 11, 28, 0, 0, 0))
ENDS = calendar.timegm((2020, 12, 2, 0, 0, 0))
MIDDLE = calendar.timegm((2019, 6, 1, 0, 0, 0))

EXPECTED = {
    "A.1": (Security.SECURE, Outcome.RECORDS, False, 0),
    "A.2": (Security.SECURE, Outcome.RECORDS, True, 0),
    "A.3": (Security.SECURE, Outcome.RECORDS, True, 0),
    "A.4": (Security.SECURE, Outcome.RECORDS, False, 1),
    "A.5": (Security.SECURE, Outcome.RECORDS, False, 1),
    "A.6": (Security.SECURE, Outcome.NXDOMAIN, False, 0),
    "A.7": (Security.SECURE, Outcome.NXDOMAIN, False, 0),
    "A.8": (Security.INSECURE, Outcome.NXDOMAIN, False, 0),
}


def chain_of(vector: dict[str, Any]) -> AuthenticationChain:
    return AuthenticationChain.from_wire(bytes.fromhex(vector["chain_wire_hex"]))


def judged(vector: dict[str, Any], now: float, anchors: TrustAnchors = ANCHORS) -> Answer:
    name = dns.name.from_text(vector["qname"])
    return chain_of(vector).validate(name, dns.rdatatype.TLSA, anchors=anchors, now=now)


def test_every_vector_has_an_expectation() -> None:
    assert set(EXPECTED) == set(VECTORS) == set(FILE["expect"])


@pytest.mark.parametrize("ident", EXPECTED)
def test_own_time(ident: str) -> None:
    answer = judged(VECTORS[ident], MIDDLE)
    assert (answer.security, answer.outcome, answer.wildcard, len(answer.aliases)) == EXPECTED[ident], answer.detail
    assert answer.provenance is Provenance.CARRIED
    assert answer.earliest_expiry == ENDS
    if answer.outcome is Outcome.RECORDS:
        assert [record.to_text() for record in answer.records] == [
            "3 1 1 8bd1da95272f7fa4ffb24137fc0ed03aae67e5c4d8b3c50734e1050a7920b922"
        ]


@pytest.mark.parametrize("ident", EXPECTED)
def test_first_and_last_second(ident: str) -> None:
    assert judged(VECTORS[ident], BEGINS).security is EXPECTED[ident][0]
    assert judged(VECTORS[ident], ENDS).security is EXPECTED[ident][0]


@pytest.mark.parametrize("ident", EXPECTED)
@pytest.mark.parametrize(("now", "word"), [(BEGINS - 1, "not valid before"), (ENDS + 1, "expired")])
def test_another_time(ident: str, now: int, word: str) -> None:
    answer = judged(VECTORS[ident], now)
    assert (answer.security, answer.outcome) == (Security.BOGUS, Outcome.FAILED)
    assert word in answer.detail
    assert answer.records == ()


@pytest.mark.parametrize("ident", EXPECTED)
def test_another_anchor(ident: str) -> None:
    assert judged(VECTORS[ident], MIDDLE, TrustAnchors.root()).security is Security.BOGUS
    assert judged(VECTORS[ident], MIDDLE, TrustAnchors.none()).security is Security.INDETERMINATE


@pytest.mark.parametrize("ident", EXPECTED)
def test_dc_03_the_order_of_records_does_not_matter(ident: str) -> None:
    chain = chain_of(VECTORS[ident])
    name = dns.name.from_text(VECTORS[ident]["qname"])
    by_data = sorted(chain.records, key=lambda record: record[2].to_generic().to_wire() or b"")
    for records in (chain.records[::-1], chain.records[::2] + chain.records[1::2], tuple(by_data)):
        answer = AuthenticationChain(records).validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
        assert (answer.security, answer.outcome) == EXPECTED[ident][:2], answer.detail


@pytest.mark.parametrize("ident", EXPECTED)
def test_dc_07_unsigned_records_that_do_not_belong_are_discarded(ident: str) -> None:
    chain = chain_of(VECTORS[ident])
    [stranger] = AuthenticationChain.from_wire(
        b"\x04_443\x04_tcp\x08stranger\x07example\x03com\x00" + bytes.fromhex("0034000100000e1000050301010001")
    ).records
    mixed = AuthenticationChain((stranger, *chain.records))
    name = dns.name.from_text(VECTORS[ident]["qname"])
    answer = mixed.validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    assert (answer.security, answer.outcome) == EXPECTED[ident][:2], answer.detail
    of_stranger = mixed.validate(stranger[0], dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    assert of_stranger.security is not Security.SECURE
    assert of_stranger.records == ()


def test_dc_07_unsigned_records_of_an_unsigned_zone_are_discarded_too() -> None:
    chain = chain_of(VECTORS["A.8"])
    name = dns.name.from_text(VECTORS["A.8"]["qname"])
    unsigned = dns.rdata.from_text("IN", "TLSA", "3 1 1 " + "00" * 32)
    more = AuthenticationChain((*chain.records, (name, 3600, unsigned)))
    answer = more.validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    assert (answer.security, answer.outcome, answer.records) == (Security.INSECURE, Outcome.NXDOMAIN, ())


@pytest.mark.parametrize("ident", EXPECTED)
def test_our_builder_needs_no_more_than_the_vector_holds(ident: str) -> None:
    """Asked for with the vector as the only source, what we build is part of it, and says the same."""
    vector = VECTORS[ident]
    name = dns.name.from_text(vector["qname"])
    building = ChainBuilding(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    validate(building, chain_of(vector).reply)
    built = building.chain()
    assert built.answer.security is EXPECTED[ident][0]
    assert built.answer.outcome is EXPECTED[ident][1] or built.answer.security is Security.INSECURE
    theirs = {(owner, rdata) for owner, _, rdata in chain_of(vector).records}
    ours = {(owner, rdata) for owner, _, rdata in built.chain.records}
    assert ours <= theirs
    assert len(ours) == len(built.chain.records)


def test_record_added_to_a_signed_set() -> None:
    chain = chain_of(VECTORS["A.1"])
    name = dns.name.from_text(VECTORS["A.1"]["qname"])
    added = dns.rdata.from_text("IN", "TLSA", "3 1 1 " + "00" * 32)
    more = AuthenticationChain((*chain.records, (name, 3600, added)))
    answer = more.validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    assert answer.security is Security.BOGUS
    assert "does not verify" in answer.detail


@pytest.mark.parametrize("ident", EXPECTED)
def test_without_any_one_record_nothing_secure_appears(ident: str) -> None:
    """A chain that lacks a record is never judged better than the whole one, and never as other records."""
    chain = chain_of(VECTORS[ident])
    name = dns.name.from_text(VECTORS[ident]["qname"])
    whole = judged(VECTORS[ident], MIDDLE)
    for at in range(len(chain.records)):
        less = AuthenticationChain(chain.records[:at] + chain.records[at + 1 :])
        answer = less.validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
        if answer.security is Security.SECURE:
            assert (answer.outcome, answer.records) == (whole.outcome, whole.records)
        elif answer.security is Security.INSECURE:
            assert whole.security is Security.INSECURE


@pytest.mark.parametrize("ident", EXPECTED)
def test_wire_form_is_exact(ident: str) -> None:
    wire = bytes.fromhex(VECTORS[ident]["chain_wire_hex"])
    assert AuthenticationChain.from_wire(wire).to_wire() == wire


def test_extension_as_in_the_appendix() -> None:
    data = bytes.fromhex(VECTORS["A.1"]["extension_data_hex_from_rfc"])
    extension = ChainExtension.from_wire(data)
    assert extension.lifetime == 0
    assert extension.to_wire() == data
    name = dns.name.from_text(VECTORS["A.1"]["qname"])
    answer = extension.chain.validate(name, dns.rdatatype.TLSA, anchors=ANCHORS, now=MIDDLE)
    assert answer.security is Security.SECURE


def test_extension_with_the_length_of_section_2_3() -> None:
    data = bytes.fromhex(VECTORS["A.1"]["extension_data_hex_from_rfc"])
    chain = data[2:]
    prefixed = b"\x00\x07" + len(chain).to_bytes(2, "big") + chain
    extension = ChainExtension.from_wire(prefixed)
    assert extension.lifetime == 7
    assert extension.chain.to_wire() == chain


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00", b"\x00\x00\x00\x00", b"\x00\x00\x03www"])
def test_extension_that_is_none(data: bytes) -> None:
    with pytest.raises(Malformed):
        ChainExtension.from_wire(data)
