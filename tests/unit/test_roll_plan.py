"""The RRsets of a roll, and the rule none of them breaks: every combination matches what the client uses."""

import hashlib
import time

import pytest

from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle.deployment import Deployment, Parameters, parameters_from_text
from dnsbound.provision.lifecycle.invariant import Situation, check, faults, unmatched
from dnsbound.provision.lifecycle.machine import RollKind, RollState
from dnsbound.provision.lifecycle.plan import Plan, make_plan, situations
from dnsbound.records.tlsa import TLSA

NAME = ClientName.parse("car54._device.cars.example")
EE1, EE2, TA1 = Parameters(3, 1, 1), Parameters(3, 1, 2), Parameters(2, 0, 1)


def key(number):
    return Deployment(spki=b"key %d" % number)


@pytest.fixture(scope="module")
def issued():
    """A chain that an authority of the organisation issued: leaf and authority."""
    issuer = CertificateAuthority.create("Cars", now=time.time())
    credential = issuer.issue(NAME, now=time.time())
    return Deployment(spki=credential.spki, chain=tuple(credential.chain))


def rrset(*records):
    return frozenset(records)


def plan(kind, old, new, standing, target=()):
    return make_plan(kind, standing=standing, ours=standing, old=old, new=new, target=target)


def test_op_09_every_combination_matches_what_the_client_uses_in_every_phase():
    old, new = key(1), key(2)
    standing = rrset(old.record(EE1), old.record(EE2))
    made = plan(RollKind.KEY, old, new, standing)
    assert made.during == standing | {new.record(EE1), new.record(EE2)}
    assert made.after == {new.record(EE1), new.record(EE2)}
    for situation in situations(RollKind.KEY, made, old=old, new=new):
        assert list(faults(situation)) == []
        for held in (situation.served, *situation.cached):
            assert {Parameters.of(record) for record in held} == {EE1, EE2}


def test_op_10_no_combination_of_past_or_future_keys_alone():
    old, new = key(1), key(2)
    mixed = rrset(old.record(EE1), new.record(EE2))
    assert unmatched(mixed, old) == [EE2]
    with pytest.raises(RollRefused):
        check([Situation(served=mixed, deployed=(old,))])
    with pytest.raises(RollRefused):
        check([Situation(served=rrset(old.record(EE1)), deployed=(old, new))])
    with pytest.raises(RollRefused):  # nobody asks for it any more, but a cache has it
        check([Situation(served=rrset(new.record(EE1)), cached=(rrset(old.record(EE1)),), deployed=(new,))])
    with pytest.raises(RollRefused):
        check([Situation(served=rrset(), deployed=(old,))])
    with pytest.raises(RollRefused):
        plan(RollKind.KEY, old, new, mixed)


def test_op_12_a_digest_comes_for_every_key_and_goes_wholly():
    old, new = key(1), key(2)
    both = plan(RollKind.PARAMETERS, old, old, rrset(old.record(EE1)), (EE1, EE2))
    assert both.after == {old.record(EE1), old.record(EE2)}
    rolled = plan(RollKind.KEY, old, new, both.after)
    for record in rolled.during:
        assert {Parameters.of(other) for other in rolled.during if other.data != record.data} >= {EE1, EE2}
    gone = plan(RollKind.PARAMETERS, new, new, rolled.after, (EE2,))
    assert gone.after == {new.record(EE2)}


def test_from_3_1_1_to_2_0_1_the_new_leaf_comes_first_and_the_authority_last(issued):
    """RFC 7671 section 8.2."""
    old = key(1)
    made = plan(RollKind.KEY, old, issued, rrset(old.record(EE1)), (TA1,))
    assert made.during == {old.record(EE1), issued.record(EE1)}
    assert made.after == {issued.record(TA1)}
    assert made.after == {TLSA(2, 0, 1, hashlib.sha256(issued.chain[-1]).digest())}
    assert made.of_new_key == {issued.record(EE1), issued.record(TA1)}


def test_a_new_leaf_of_the_same_authority_keeps_its_record(issued):
    issuer = CertificateAuthority.create("Cars", now=time.time())
    first, second = (issuer.issue(NAME, now=time.time()) for _ in range(2))
    old, new = (Deployment(spki=one.spki, chain=tuple(one.chain)) for one in (first, second))
    under_authority = plan(RollKind.KEY, old, new, rrset(old.record(TA1)))
    assert under_authority.before == under_authority.during == under_authority.after
    assert under_authority.of_new_key == frozenset()  # no door can tell the keys apart
    made = plan(RollKind.KEY, old, new, rrset(old.record(TA1), old.record(EE1)))
    assert made.during == {old.record(TA1), old.record(EE1), new.record(EE1)}


def test_what_would_refuse_the_client_is_refused_with_the_reason(issued):
    with pytest.raises(RollRefused):  # a bare key has no record under 2 0 1
        plan(RollKind.KEY, issued, key(2), rrset(issued.record(TA1)))
    with pytest.raises(RollRefused):  # nothing changes
        plan(RollKind.PARAMETERS, key(1), key(1), rrset(key(1).record(EE1)), (EE1,))
    stranger = key(9).record(EE2)
    with pytest.raises(RollRefused):  # others' records would stand alone under 3 1 2
        make_plan(
            RollKind.KEY,
            standing=rrset(key(1).record(EE1), stranger),
            ours=rrset(key(1).record(EE1)),
            old=key(1),
            new=key(2),
        )


def test_records_of_others_stay_where_they_are_no_harm():
    stranger = key(9).record(EE1)
    made = make_plan(
        RollKind.KEY,
        standing=rrset(key(1).record(EE1), stranger),
        ours=rrset(key(1).record(EE1)),
        old=key(1),
        new=key(2),
    )
    assert stranger in made.during & made.after


def test_in_an_emergency_the_old_key_goes_at_once():
    old, new = key(1), key(2)
    made = plan(RollKind.EMERGENCY, old, new, rrset(old.record(EE1)))
    assert made.rrset(RollState.RETIRE) == {new.record(EE1)}
    assert not any(old.matches(record) for record in made.after)


def test_chains_that_verifiers_would_not_take(issued):
    other_name = CertificateAuthority.create("Cars", now=time.time()).issue(
        ClientName.parse("car55.cars.example"), now=time.time()
    )
    wrong = Deployment(spki=other_name.spki, chain=tuple(other_name.chain))
    with pytest.raises(RollRefused):
        wrong.check_authorities(NAME, rrset(wrong.record(TA1)), now=time.time())
    with pytest.raises(RollRefused):  # long after its end
        issued.check_authorities(NAME, rrset(issued.record(TA1)), now=time.time() + 100 * 365 * 86_400)
    issued.check_authorities(NAME, rrset(issued.record(TA1)), now=time.time())
    with pytest.raises(Misuse):
        Deployment(spki=b"another key", chain=issued.chain)


@pytest.mark.parametrize("text", ["3 1", "", "3 1 1 aa", "3 1 9", "9 1 1", "x y z", "3 1 1,", "3 1 1; 3 1 2"])
def test_parameters_that_are_none(text):
    with pytest.raises((Malformed, Misuse)):
        parameters_from_text(text)


def test_parameters_and_plans_read_back():
    assert parameters_from_text("3 1 1, DANE-EE SPKI SHA2-512,3 1 1") == (EE1, EE2)
    made = plan(RollKind.KEY, key(1), key(2), rrset(key(1).record(EE1)))
    assert Plan.from_text(made.to_text()) == made
    for text in ("", "[]", "{}", "null", '{"before": 1, "during": [], "after": []}', '{"before": ["x"]}', "[" * 9999):
        with pytest.raises(Malformed):
            Plan.from_text(text)
