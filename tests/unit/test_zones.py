"""Test zones: what is signed holds up to dnspython's own check, answers follow the RFCs, bad plans are refused."""

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_denial import DenialPlan, nsec3_label
from dnsbound.testing.zone_faults import FAULTS
from dnsbound.testing.zone_keys import TWINS, KeyPlan, make_key
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Judgement, Situation
from dnsbound.testing.zones import DsPlan, Zone, ZonePlan, ZoneTree

NOW = 1_800_000_000.0
RECORDS = """
www A 192.0.2.1
alias CNAME www
old DNAME new
*.w TLSA 3 1 1 abababababababababababababababababababababababababababababababab
x.middle A 192.0.2.2
"""


def tree_of(**words: object) -> ZoneTree:
    plan = ZonePlan.of("cars.example.", **{"records": RECORDS} | words)  # type: ignore[arg-type]
    island = ZonePlan.of("island.cars.example.", keys=[], records="www A 192.0.2.3")
    return ZoneTree.build([ZonePlan.of("."), ZonePlan.of("example."), plan, island], now=NOW)


def ask(answers: ZoneAnswers, name: str, rdtype: str, *, dnssec: bool = True) -> dns.message.Message:
    return answers.respond(dns.message.make_query(name, rdtype, want_dnssec=dnssec))


def authority_types(response: dns.message.Message) -> set[str]:
    return {dns.rdatatype.to_text(rrset.rdtype) for rrset in response.authority}


ALGORITHMS = ["csk 8", "csk 10", "csk 13", "csk 14", "csk 15", "csk 16", "ksk 8", "zsk 13"]


@pytest.mark.parametrize("keys", [[text] for text in ALGORITHMS[:6]] + [ALGORITHMS[6:]], ids=" ".join)
@pytest.mark.parametrize("denial", ["nsec", "nsec3 iterations=3 salt=ab12", "nsec3 optout"])
def test_every_signature_holds(keys: list[str], denial: str) -> None:
    zone = tree_of(keys=keys, denial=denial).zone("cars.example.")
    trusted = {zone.origin: dns.rrset.from_rdata_list(zone.origin, 3600, [key.dnskey for key in zone.keys])}
    assert len(zone.signatures) >= 10
    for owner_and_type, signatures in zone.signatures.items():
        rrset = zone.rrsets[owner_and_type]
        shown = dns.rrset.from_rdata_list(rrset.name, rrset.ttl, signatures)
        dns.dnssec.validate(rrset, shown, trusted, now=NOW, policy=dns.dnssec.allow_all_policy)
        with pytest.raises(dns.dnssec.ValidationFailure):
            dns.dnssec.validate(rrset, shown, trusted, now=NOW + 100_000, policy=dns.dnssec.allow_all_policy)


def test_delegations_and_glue_are_not_signed() -> None:
    zone = tree_of().zone("cars.example.")
    cut = dns.name.from_text("island.cars.example.")
    assert (cut, dns.rdatatype.NS) in zone.rrsets
    assert (cut, dns.rdatatype.NS) not in zone.signatures
    assert (cut, dns.rdatatype.NSEC) in zone.signatures


def test_the_parent_has_the_digest_of_the_child_s_key() -> None:
    tree = tree_of(keys=["ksk 13", "zsk 13"])
    parent, child = tree.zone("example."), tree.zone("cars.example.")
    [published] = parent.rrsets[child.origin, dns.rdatatype.DS]
    assert published == dns.dnssec.make_ds(child.origin, child.keys[0].dnskey, "SHA256")
    assert str(published) in tree.anchors("cars.example.")


@pytest.mark.parametrize("plan", ["nsec3", "nsec3 iterations=12 salt=aabbccdd"])
def test_hashed_owners(plan: str) -> None:
    denial = DenialPlan.parse(plan)
    for text in ("example.", "WWW.Example.", "*.a.example."):
        theirs = dns.dnssec.nsec3_hash(text, denial.salt, denial.iterations, "SHA1")
        assert nsec3_label(dns.name.from_text(text), denial).decode() == theirs


def test_twins_share_a_tag() -> None:
    keys = [make_key(KeyPlan.parse(f"csk 13 twin={number}"), "example.") for number in range(len(TWINS))]
    assert {key.tag for key in keys} == {52046}
    assert len({key.dnskey.key for key in keys}) == len(TWINS)


def test_zones_are_the_same_in_every_run() -> None:
    first, second = (tree_of().zone("cars.example.") for _ in range(2))
    assert first.keys[0].dnskey == second.keys[0].dnskey
    assert first.signatures == second.signatures


class TestAnswers:
    answers = ZoneAnswers(tree_of().zones)

    def test_records_with_signatures_only_for_those_who_ask(self) -> None:
        assert len(ask(self.answers, "www.cars.example.", "A").answer) == 2
        assert len(ask(self.answers, "www.cars.example.", "A", dnssec=False).answer) == 1

    def test_authoritative_and_not_recursive(self) -> None:
        flags = ask(self.answers, "www.cars.example.", "A").flags
        assert flags & dns.flags.AA
        assert not flags & dns.flags.RA

    def test_nodata(self) -> None:
        response = ask(self.answers, "www.cars.example.", "TXT")
        assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
        assert authority_types(response) == {"SOA", "NSEC", "RRSIG"}

    def test_empty_non_terminal(self) -> None:
        assert ask(self.answers, "middle.cars.example.", "A").rcode() == dns.rcode.NOERROR

    def test_nxdomain(self) -> None:
        response = ask(self.answers, "none.cars.example.", "A")
        assert response.rcode() == dns.rcode.NXDOMAIN
        proofs = {rrset.name.to_text() for rrset in response.authority if rrset.rdtype == dns.rdatatype.NSEC}
        assert proofs == {"x.middle.cars.example.", "cars.example."}

    def test_wildcard(self) -> None:
        response = ask(self.answers, "car54.w.cars.example.", "TLSA")
        assert response.answer[0].name.to_text() == "car54.w.cars.example."
        assert response.answer[1][0].labels == 3
        assert authority_types(response) == {"NSEC", "RRSIG"}

    def test_alias(self) -> None:
        response = ask(self.answers, "alias.cars.example.", "A")
        assert [rrset.rdtype for rrset in response.answer if rrset.rdtype != dns.rdatatype.RRSIG] == [
            dns.rdatatype.CNAME,
            dns.rdatatype.A,
        ]

    def test_redirection_makes_an_unsigned_alias(self) -> None:
        response = ask(self.answers, "a.b.old.cars.example.", "A")
        made = [rrset for rrset in response.answer if rrset.rdtype == dns.rdatatype.CNAME]
        assert made[0][0].target.to_text() == "a.b.new.cars.example."
        covered = {rrset[0].type_covered for rrset in response.answer if rrset.rdtype == dns.rdatatype.RRSIG}
        assert covered == {dns.rdatatype.DNAME}

    def test_ds_belongs_to_the_parent(self) -> None:
        response = ask(self.answers, "cars.example.", "DS")
        assert response.answer[1][0].signer == dns.name.from_text("example.")
        assert authority_types(ask(self.answers, "island.cars.example.", "DS")) == {"SOA", "NSEC", "RRSIG"}

    def test_outside_its_zones(self) -> None:
        only = ZoneAnswers([tree_of().zone("cars.example.")])
        assert ask(only, "www.elsewhere.example.", "A").rcode() == dns.rcode.REFUSED

    def test_packets_that_are_no_query(self) -> None:
        assert self.answers.respond_wire(b"\0" * 5, udp=True) is None
        response = ask(self.answers, "www.cars.example.", "A").to_wire()
        assert self.answers.respond_wire(response, udp=True) is None


@pytest.mark.parametrize(
    ("denial", "proofs"), [("nsec", 1), ("nsec3", 1), ("nsec3 optout", 2)], ids=["nsec", "nsec3", "opt-out"]
)
def test_referral_to_what_is_not_served_here(denial: str, proofs: int) -> None:
    answers = ZoneAnswers([tree_of(denial=denial).zone("cars.example.")])
    response = ask(answers, "www.island.cars.example.", "A")
    assert not response.flags & dns.flags.AA
    assert not response.answer
    assert response.authority[0].rdtype == dns.rdatatype.NS
    assert sum(rrset.rdtype in {dns.rdatatype.NSEC, dns.rdatatype.NSEC3} for rrset in response.authority) == proofs


def test_referral_to_a_signed_child() -> None:
    answers = ZoneAnswers([tree_of().zone("example.")])
    assert authority_types(ask(answers, "www.cars.example.", "A")) == {"NS", "DS", "RRSIG"}


def test_recursive_answers_follow_aliases_into_other_zones() -> None:
    plan = ZonePlan.of("example.", records="a CNAME b.other.\n")
    other = ZonePlan.of("other.", records="b A 192.0.2.9")
    tree = ZoneTree.build([ZonePlan.of("."), plan, other], now=NOW)
    assert len(ask(ZoneAnswers(tree.zones), "a.example.", "A").answer) == 2
    assert len(ask(ZoneAnswers(tree.zones, recursive=True), "a.example.", "A").answer) == 4


def test_compact_denial() -> None:
    answers = ZoneAnswers(tree_of(denial="compact").zones)
    response = ask(answers, "none.cars.example.", "A")
    assert response.rcode() == dns.rcode.NOERROR
    [link] = [rrset for rrset in response.authority if rrset.rdtype == dns.rdatatype.NSEC]
    assert link.to_text() == r"none.cars.example. 3600 IN NSEC \000.none.cars.example. RRSIG NSEC NXNAME"


def test_served_over_udp_and_tcp() -> None:
    records = "\n".join(f'big TXT "{number} {"x" * 240}"' for number in range(8))
    answers = ZoneAnswers(tree_of(records=records).zones)
    query = dns.message.make_query("big.cars.example.", "TXT", want_dnssec=True)
    with serve_zones(lambda packet, udp: answers.respond_wire(packet, udp=udp)) as port:
        assert dns.query.udp(query, "127.0.0.1", port=port, timeout=5).flags & dns.flags.TC
        assert len(dns.query.tcp(query, "127.0.0.1", port=port, timeout=5).answer[0]) == 8


def test_every_fault_says_what_it_does() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())


BAD_PLANS = {
    "key role": lambda: KeyPlan.parse("key 13"),
    "key number": lambda: KeyPlan.parse("csk thirteen"),
    "key words": lambda: KeyPlan.parse("csk 13 lazy"),
    "key algorithm": lambda: make_key(KeyPlan.parse("csk 200"), "example."),
    "denial": lambda: DenialPlan.parse("nsec5"),
    "denial words": lambda: DenialPlan.parse("nsec3 pepper=1"),
    "DS": lambda: DsPlan.parse("md5"),
    "DS words": lambda: DsPlan.parse("sha256 broken"),
    "owner": lambda: Zone(ZonePlan.of("example."), now=NOW).add(
        dns.rrset.from_text("www.other.", 60, "IN", "A", "192.0.2.1")
    ),
    "fault": lambda: ZoneTree.build([ZonePlan.of("example.", faults=["melt www A"])], now=NOW),
    "fault owner": lambda: ZoneTree.build([ZonePlan.of("example.", faults=["flip www A"])], now=NOW),
    "fault words": lambda: ZoneTree.build([ZonePlan.of("example.", faults=["flip www"])], now=NOW),
    "no zone": lambda: tree_of().zone("nobody.example."),
}


@pytest.mark.parametrize("plan", BAD_PLANS.values(), ids=BAD_PLANS)
def test_bad_plans_are_misuse(plan) -> None:
    with pytest.raises(Misuse):
        plan()


GOOD = {"rfc": "RFC 4035", "about": "x", "ask": "www A", "expect": "secure records"}
BAD_SITUATIONS = {
    "no expectation": {word: text for word, text in GOOD.items() if word != "expect"},
    "unknown word": GOOD | {"expectation": "secure"},
    "unknown state": GOOD | {"expect": "safe records"},
    "secure without outcome": GOOD | {"expect": "secure"},
    "bogus with outcome": GOOD | {"expect": "bogus records", "detail": "x"},
    "bogus without detail": GOOD | {"expect": "bogus"},
    "secure with detail": GOOD | {"detail": "x"},
    "difference without reason": GOOD | {"differs": "bogus"},
    "unknown anchor": GOOD | {"anchor": "heavy"},
    "unknown zone word": GOOD | {"zones": {"child": {"serial": 5}}},
}


@pytest.mark.parametrize("table", BAD_SITUATIONS.values(), ids=BAD_SITUATIONS)
def test_bad_situations_are_malformed(table: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        Situation.parse("kind", "name", table)


def test_judgements_as_a_client_sees_them() -> None:
    seen = {text: Judgement.parse(text).to_a_client for text in ("bogus", "indeterminate failed")}
    assert set(seen.values()) == {(None, None)}
    assert str(Judgement.parse("indeterminate records").to_a_client[0]) == "insecure"
    assert str(Judgement.parse("secure nxdomain")) == "secure nxdomain"
