"""The engine: five steps in order, three kinds of outcome, and every reason it can give.

CA-14 to CA-18, CA-24, CA-30, TL-01 to TL-03, OP-17; DESIGN section 1.
"""

from dataclasses import replace

import dns.name
import dns.rdata
import dns.rdatatype
import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, PrivateKey, generate_private_key
from dnsbound.credential.matching import MatchPolicy
from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.errors import UNDECIDED_REASONS, Misuse, Reason, Refused, Undecided
from dnsbound.limits import POSITIVE_TTL
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import ABSENT, Asserted, Claim, Presented
from dnsbound.verify.engine import REASON_FOR_STATE, Verifier
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer, _attest
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, PROVED, answer, claim
from unit.estates import END_ENTITY, Member

ACCESS = AccessList.allowing(DOOR, [NAME])
RECORD = CREDENTIAL.tlsa()


def decide(
    made: Claim, given: Answer, *, access: AccessList = ACCESS, policy: MatchPolicy | None = None
) -> VerifiedPeer:
    return Verifier(access, door=DOOR, policy=policy).begin(made, now=NOW).answer(given, now=NOW)


def reason(made: Claim, given: Answer, *, access: AccessList = ACCESS, policy: MatchPolicy | None = None) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        decide(made, given, access=access, policy=policy)
    assert isinstance(caught.value, Undecided) is (caught.value.reason in UNDECIDED_REASONS)
    return caught.value.reason


def reason_without_dns(made: Claim, access: AccessList = ACCESS) -> Reason:
    """The reason given before there is any question for the DNS."""
    with pytest.raises(Refused) as caught:
        Verifier(access, door=DOOR).begin(made, now=NOW)
    return caught.value.reason


def test_a_matching_record_makes_a_peer_with_the_evidence() -> None:
    access = AccessList.allowing(DOOR, [NAME], grants={"vlan": 7})
    peer = decide(claim(), answer(NAME, RECORD), access=access)
    assert peer.name == ClientName.parse(NAME)
    assert (peer.door, peer.record, peer.provenance) == (DOOR, RECORD, Provenance.RESOLVED)
    assert peer.possession == PROVED
    assert peer.grants == {"vlan": 7}
    assert (peer.verified_at, peer.valid_until, peer.signatures_expire) == (NOW, NOW + 60, NOW + 3600)
    assert peer.access_generation == access.generation
    assert len({peer, replace_peer_is_impossible(peer)}) == 1


def replace_peer_is_impossible(peer: VerifiedPeer) -> VerifiedPeer:
    with pytest.raises(Misuse):
        replace(peer, name=ClientName.parse("other.example"))
    return peer


def test_the_question_is_the_name_as_it_came() -> None:
    made = claim("CAR54._device.Cars.example")
    need = Verifier(ACCESS, door=DOOR).begin(made, now=NOW)
    assert need.question.name.to_text() == "CAR54._device.Cars.example."
    assert need.question.rdtype == dns.rdatatype.TLSA
    assert need.answer(answer(NAME, RECORD), now=NOW).name.text == made.name.text


def test_a_front_may_vouch_for_possession_and_is_named_in_the_evidence() -> None:
    assert decide(claim(possession=Asserted("nginx")), answer(NAME, RECORD)).possession == Asserted("nginx")


def test_nothing_is_asked_when_the_claim_cannot_hold() -> None:
    assert reason_without_dns(claim(possession=ABSENT)) is Reason.NO_POSSESSION
    assert reason_without_dns(claim(presented=Presented())) is Reason.NO_CREDENTIAL
    assert reason_without_dns(claim("car55._device.cars.example")) is Reason.NOT_PERMITTED
    assert reason_without_dns(claim(), AccessList.from_toml("")) is Reason.NOT_PERMITTED
    assert reason_without_dns(claim(), AccessList.allowing("other", [NAME])) is Reason.NOT_PERMITTED


def test_absent_possession_comes_before_everything_else() -> None:
    assert reason_without_dns(claim("nobody.example", possession=ABSENT, presented=Presented())) is Reason.NO_POSSESSION


def test_a_claim_belongs_to_its_door_and_an_answer_to_its_question() -> None:
    verifier = Verifier(ACCESS, door=DOOR)
    with pytest.raises(Misuse, match="door"):
        verifier.begin(claim(door="mqtt"), now=NOW)
    need = verifier.begin(claim(), now=NOW)
    with pytest.raises(Misuse, match="not for"):
        need.answer(answer("car55._device.cars.example", RECORD), now=NOW)
    with pytest.raises(Misuse, match="not for"):
        need.answer(answer(NAME, RECORD, rdtype=dns.rdatatype.A), now=NOW)


@pytest.mark.parametrize("security", list(Security))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_state_of_an_answer_leads_where_the_table_says(security: Security, outcome: Outcome) -> None:
    given = answer(NAME, RECORD, security=security, outcome=outcome, detail="because")
    expected = REASON_FOR_STATE[security, outcome]
    if expected is None:
        assert (security, outcome) == (Security.SECURE, Outcome.RECORDS)
        assert decide(claim(), given).record == RECORD
    else:
        assert reason(claim(), given) is expected


@pytest.mark.parametrize(
    ("security", "outcome", "expected"),
    [
        (Security.SECURE, Outcome.NXDOMAIN, Reason.NO_TLSA),
        (Security.SECURE, Outcome.NODATA, Reason.NO_TLSA),
        (Security.INSECURE, Outcome.RECORDS, Reason.INSECURE),
        (Security.INSECURE, Outcome.NXDOMAIN, Reason.INSECURE),
        (Security.BOGUS, Outcome.RECORDS, Reason.BOGUS),
        (Security.BOGUS, Outcome.NODATA, Reason.BOGUS),
        (Security.INDETERMINATE, Outcome.RECORDS, Reason.INDETERMINATE),
        (Security.INDETERMINATE, Outcome.FAILED, Reason.DNS_FAILED),
    ],
)
def test_the_table_itself(security: Security, outcome: Outcome, expected: Reason) -> None:
    assert REASON_FOR_STATE[security, outcome] is expected


def test_the_detail_of_the_answer_reaches_the_operator() -> None:
    with pytest.raises(Undecided, match="strips RRSIGs"):
        decide(claim(), answer(NAME, security=Security.BOGUS, detail="the resolver at 192.0.2.1 strips RRSIGs"))


def test_records_that_do_not_fit_give_the_reason_of_the_best_one() -> None:
    other = Credential.generate(NAME, now=NOW).tlsa()
    assert reason(claim(), answer(NAME, other)) is Reason.TLSA_MISMATCH
    assert reason(claim(), answer(NAME, TLSA(9, 9, 9, b"x"))) is Reason.TLSA_UNUSABLE
    assert reason(claim(), answer(NAME, TLSA(9, 9, 9, b"x"), other)) is Reason.TLSA_MISMATCH
    root = CertificateAuthority.create("Cars", now=NOW)
    neighbour = root.issue("car55._device.cars.example", now=NOW)
    assert (
        reason(claim(presented=neighbour.presented), answer(NAME, root.tlsa(), other)) is Reason.NAME_NOT_IN_CERTIFICATE
    )
    expired = root.issue(NAME, now=NOW - 10_000, lifetime=100)
    assert reason(claim(presented=expired.presented), answer(NAME, root.tlsa())) is Reason.CHAIN_INVALID
    assert decide(claim(presented=root.issue(NAME, now=NOW).presented), answer(NAME, root.tlsa())).record == root.tlsa()


def test_one_key_for_every_name_is_refused_unless_the_danger_is_chosen() -> None:
    given = answer(NAME, RECORD, wildcard=True)
    assert reason(claim(), given) is Reason.WILDCARD_KEY
    assert decide(claim(), given, policy=MatchPolicy(danger_wildcard_keys=True)).record == RECORD
    root = CertificateAuthority.create("Cars", now=NOW)
    by_authority = claim(presented=root.issue(NAME, now=NOW).presented)
    assert decide(by_authority, answer(NAME, root.tlsa(), wildcard=True)).record == root.tlsa()


def test_work_that_costs_too_much_is_not_decided() -> None:
    assert reason(claim(), answer(NAME, RECORD, limit="signature-checks", detail="too many keys")) is Reason.WORK_BUDGET
    keys = [generate_private_key(KeyAlgorithm.P256) for _ in range(3)]
    ring = _ring_of_authorities(keys)
    bare = TLSA(2, 1, 0, CREDENTIAL.spki)
    records = [bare, *(TLSA(2, 1, 0, Credential.generate(NAME, kind="raw", now=NOW).spki) for _ in range(7))]
    assert reason(claim(presented=Presented(ring)), answer(NAME, *records)) is Reason.WORK_BUDGET


def _ring_of_authorities(keys: list[PrivateKey]) -> tuple[bytes, ...]:
    roots = [Member("Ring", key=key) for key in keys]
    ring = [Member("Ring", signer, key=key) for key in keys for signer in roots if signer.key is not key]
    return tuple(member.der for member in (Member("car54", roots[0], END_ENTITY), *roots, *ring))


def test_evidence_is_used_as_long_as_it_holds_and_no_longer() -> None:
    old = answer(NAME, RECORD, validated_at=NOW - 59)
    assert decide(claim(), old).valid_until == NOW + 1
    assert reason(claim(), answer(NAME, RECORD, validated_at=NOW - 61)) is Reason.INDETERMINATE
    assert reason(claim(), answer(NAME, RECORD, earliest_expiry=NOW - 1)) is Reason.BOGUS
    soon = answer(NAME, RECORD, earliest_expiry=NOW + 5)
    assert decide(claim(), soon).valid_until == NOW + 5
    long = answer(NAME, RECORD, ttl=1e6, earliest_expiry=None)
    assert decide(claim(), long).valid_until == NOW + POSITIVE_TTL.default
    assert decide(claim(), long).signatures_expire is None


def test_an_answer_with_ttl_0_serves_the_claim_it_was_fetched_for_and_no_later_one() -> None:
    need = Verifier(ACCESS, door=DOOR).begin(claim(), now=NOW)
    given = answer(NAME, RECORD, ttl=0.0, validated_at=NOW + 0.01)
    assert need.answer(given, now=NOW + 0.02).valid_until == NOW + 0.01
    later = Verifier(ACCESS, door=DOOR).begin(claim(), now=NOW + 1)
    with pytest.raises(Undecided) as caught:
        later.answer(given, now=NOW + 1)
    assert caught.value.reason is Reason.INDETERMINATE


def test_records_of_another_type_are_bogus() -> None:
    given = answer(NAME, RECORD)
    address = dns.rdata.from_text("IN", "A", "192.0.2.1")
    # An address has the form of a TLSA record with one octet of data.
    assert reason(claim(), replace(given, records=(address,))) is Reason.BOGUS
    generic = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, RECORD.to_wire())
    assert decide(claim(), replace(given, records=(generic,))).record == RECORD
    short = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, b"\x03")
    assert reason(claim(), replace(given, records=(short,))) is Reason.BOGUS


def test_where_the_evidence_came_from_is_kept() -> None:
    for provenance in (Provenance.RESOLVED, Provenance.PINNED):
        assert decide(claim(), answer(NAME, RECORD, provenance=provenance)).provenance is provenance


def test_carried_evidence_is_not_taken_by_a_door_that_takes_none() -> None:
    with pytest.raises(Misuse):
        decide(claim(), answer(NAME, RECORD, provenance=Provenance.CARRIED))


class Changing:
    """An access source whose list changes."""

    def __init__(self, access: AccessList) -> None:
        self.access = access

    def current(self) -> AccessList:
        return self.access


def test_the_list_in_force_at_the_verdict_counts() -> None:
    source = Changing(ACCESS)
    need = Verifier(source, door=DOOR).begin(claim(), now=NOW)
    source.access = AccessList.from_toml("")
    with pytest.raises(Refused) as caught:
        need.answer(answer(NAME, RECORD), now=NOW)
    assert caught.value.reason is Reason.NOT_PERMITTED
    source = Changing(ACCESS)
    need = Verifier(source, door=DOOR).begin(claim(), now=NOW)
    source.access = AccessList.allowing(DOOR, [NAME], grants={"vlan": 9})
    peer = need.answer(answer(NAME, RECORD), now=NOW)
    assert (peer.grants, peer.access_generation) == ({"vlan": 9}, source.access.generation)


PATTERN = AccessList.allowing(DOOR, ["*._device.cars.example", "car54._device.trucks.example"])


def test_lookups_that_a_pattern_causes_spend_from_the_budget_of_source_and_zone() -> None:
    verifier = Verifier(PATTERN, door=DOOR, lookups=LookupBudget(per_source=2, per_zone=3))
    for index in range(2):
        verifier.begin(claim(f"x{index}._device.cars.example"), now=NOW)
    with pytest.raises(Undecided) as caught:
        verifier.begin(claim("x2._device.cars.example"), now=NOW)
    assert caught.value.reason is Reason.LOOKUP_BUDGET
    verifier.begin(claim("car54._device.trucks.example"), now=NOW)
    verifier.begin(claim("x3._device.cars.example", source="192.0.2.8"), now=NOW)
    with pytest.raises(Undecided, match="too many lookups below"):
        verifier.begin(claim("x4._device.cars.example", source="192.0.2.9"), now=NOW)
    verifier.begin(claim("x5._device.cars.example", source="192.0.2.9"), now=NOW + 60)


def test_evidence_at_hand_costs_nothing() -> None:
    verifier = Verifier(PATTERN, door=DOOR, lookups=LookupBudget(per_source=1, per_zone=1))
    cached = answer(NAME, RECORD, validated_at=NOW - 10)
    for _ in range(5):
        verifier.begin(claim(), now=NOW).answer(cached, now=NOW)
    fresh = answer(NAME, RECORD, validated_at=NOW)
    verifier.begin(claim(), now=NOW).answer(fresh, now=NOW)
    with pytest.raises(Undecided):
        verifier.begin(claim(), now=NOW)


def test_aliases_cost_a_lookup_each_also_behind_an_exact_name() -> None:
    target = dns.name.from_text("keys.elsewhere.example")
    verifier = Verifier(ACCESS, door=DOOR, lookups=LookupBudget(per_source=3, per_zone=100))
    aliased = answer(NAME, RECORD, aliases=(target, target), zone=dns.name.from_text("elsewhere.example"))
    for _ in range(2):
        assert verifier.begin(claim(), now=NOW).answer(aliased, now=NOW).record == RECORD
    with pytest.raises(Undecided) as caught:
        verifier.begin(claim(), now=NOW)
    assert caught.value.reason is Reason.LOOKUP_BUDGET
    assert verifier.begin(claim(source="198.51.100.1"), now=NOW).answer(aliased, now=NOW).record == RECORD
    assert verifier.begin(claim(), now=NOW + 60).answer(aliased, now=NOW + 60 - 1).record == RECORD


def test_aliases_into_one_zone_are_bounded_whoever_causes_them() -> None:
    verifier = Verifier(ACCESS, door=DOOR, lookups=LookupBudget(per_source=100, per_zone=3))
    aliased = answer(
        NAME,
        RECORD,
        aliases=(dns.name.from_text("k.elsewhere.example"),) * 2,
        zone=dns.name.from_text("elsewhere.example"),
    )
    verifier.begin(claim(source="192.0.2.1"), now=NOW).answer(aliased, now=NOW)
    with pytest.raises(Undecided) as caught:
        verifier.begin(claim(source="192.0.2.2"), now=NOW).answer(aliased, now=NOW)
    assert caught.value.reason is Reason.LOOKUP_BUDGET


def test_nobody_else_can_make_a_peer() -> None:
    with pytest.raises(Misuse):
        VerifiedPeer(  # type: ignore[call-arg]
            name=ClientName.parse(NAME),
            name_source=claim().name_source,
            door=DOOR,
            record=RECORD,
            provenance=Provenance.PINNED,
            possession=PROVED,
            grants={},
            verified_at=NOW,
            valid_until=NOW,
        )
    assert _attest.__module__ == "dnsbound.verify.peer"
