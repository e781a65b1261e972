"""Trust anchors grow old (RFC 9102 section 8): what a chain is worth while the root's keys roll, and after."""

import dns.name
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Security
from dnsbound.dns.canonical import name_of
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.chain_judging import judge_chain
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.dns.validator import validate
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

NOW = 1_800_000_000.0
NAME = dns.name.from_text("car54._device.cars.example")
OLD, NEW = "ksk 13", "ksk 13 label=next"
ZONE_KEY = "zsk 13"


def tree(*root_keys: str) -> ZoneTree:
    record = "car54._device TLSA 3 1 1 " + "ab" * 32
    plans = [ZonePlan.of(".", keys=root_keys), ZonePlan.of("cars.example.", records=f"{record}\n")]
    return ZoneTree.build(plans, now=NOW)


def anchors(*root_keys: str) -> TrustAnchors:
    """A file with these keys of the root, as an operator has it."""
    return TrustAnchors.from_text(tree(*root_keys, ZONE_KEY).anchors())


def chain(*root_keys: str, trusted: TrustAnchors) -> BuiltChain:
    answers = ZoneAnswers(tree(*root_keys).zones, recursive=True)

    def look_up(question: Question) -> Response:
        wire = answers.respond_wire(Query(0, name_of(question.key), question.rdtype).to_wire(), udp=False)
        assert wire is not None
        return Response.from_wire(wire, source="the zones")

    building = ChainBuilding(NAME, dns.rdatatype.TLSA, anchors=trusted, now=NOW)
    validate(building, look_up)
    return building.chain()


def security(built: BuiltChain, trusted: TrustAnchors) -> Security:
    return judge_chain(built.octets, NAME, dns.rdatatype.TLSA, anchors=trusted, now=NOW).security


def signatures_over_root_keys(built: BuiltChain) -> int:
    return sum(
        owner == dns.name.root and rdata.covers() == dns.rdatatype.DNSKEY for owner, _, rdata in built.chain.records
    )


def test_dc_08_a_chain_after_the_roll_needs_the_newer_anchors() -> None:
    built = chain(NEW, ZONE_KEY, trusted=anchors(NEW))
    assert security(built, anchors(NEW)) is Security.SECURE
    assert security(built, anchors(OLD)) is Security.BOGUS
    assert security(built, anchors(OLD, NEW)) is Security.SECURE


@pytest.mark.parametrize("trusted", [OLD, NEW])
def test_dc_08_while_both_keys_sign_verifiers_with_either_anchor_are_served(trusted: str) -> None:
    """Whoever builds the chain does not know which of the keys its verifier has."""
    built = chain(OLD, NEW, ZONE_KEY, trusted=anchors(trusted))
    for verifier in (anchors(OLD), anchors(NEW), anchors(OLD, NEW)):
        assert security(built, verifier) is Security.SECURE


def test_dc_08_a_key_that_does_not_sign_yet_changes_nothing() -> None:
    built = chain(OLD, f"{NEW} idle", ZONE_KEY, trusted=anchors(OLD, NEW))
    assert security(built, anchors(OLD)) is Security.SECURE
    assert security(built, anchors(NEW)) is Security.BOGUS


def test_only_entry_keys_sign_twice() -> None:
    """A zone key's signature over the keys leads nowhere, and is left out."""
    built = chain(OLD, NEW, ZONE_KEY, trusted=anchors(OLD))
    assert signatures_over_root_keys(built) == 2
    one = chain("csk 13", "zsk 13", trusted=TrustAnchors.from_text(tree("csk 13", "zsk 13").anchors()))
    assert signatures_over_root_keys(one) == 1
