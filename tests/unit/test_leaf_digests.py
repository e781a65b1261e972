"""Matching by digests of a leaf that a front did not hand on: usage 3 alone, and every combination accounted for."""

from hashlib import sha256, sha512
from itertools import product

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.matching import MatchPolicy, RecordState, match
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import BLOCK, TLSA

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_780_000_000.0
CREDENTIAL = Credential.generate(NAME, now=NOW)
OTHER = Credential.generate(NAME, now=NOW)
ROOT = Credential.generate(ClientName.parse("ca.cars.example"), now=NOW).chain[0]
ALL_USAGES = MatchPolicy(usages=frozenset(Usage), roots=(ROOT,))
KINDS = {
    "spki_sha256": (Selector.SPKI, MatchingType.SHA2_256),
    "certificate_sha256": (Selector.CERT, MatchingType.SHA2_256),
    "spki_sha512": (Selector.SPKI, MatchingType.SHA2_512),
    "certificate_sha512": (Selector.CERT, MatchingType.SHA2_512),
}


def digests_of(credential: Credential, *kinds: str) -> LeafDigests:
    octets = {Selector.SPKI: credential.spki, Selector.CERT: credential.chain[0]}
    digest = {MatchingType.SHA2_256: sha256, MatchingType.SHA2_512: sha512}
    return LeafDigests(**{kind: digest[KINDS[kind][1]](octets[KINDS[kind][0]]).digest() for kind in kinds})


def states(records: list[TLSA], digests: LeafDigests) -> list[RecordState]:
    report = match(records, Presented(digests=digests), name=NAME, now=NOW, policy=ALL_USAGES, exhaustive=True)
    found = {result.record: result.state for result in report.results}
    return [found[record] for record in records]


@pytest.mark.parametrize(("usage", "selector", "matching_type"), list(product(Usage, Selector, MatchingType)))
@pytest.mark.parametrize("kind", KINDS)
def test_every_record_matches_or_is_unusable_by_each_digest(
    usage: Usage, selector: Selector, matching_type: MatchingType, kind: str
) -> None:
    own = CREDENTIAL.tlsa(Usage.DANE_EE, selector, matching_type)
    record = TLSA(usage, selector, matching_type, own.data)
    of_selector, of_type = KINDS[kind]
    comparable = usage is Usage.DANE_EE and selector is of_selector and matching_type in (MatchingType.FULL, of_type)
    expected = RecordState.MATCHED if comparable else RecordState.UNUSABLE
    assert states([record], digests_of(CREDENTIAL, kind)) == [expected]
    if comparable:
        assert states([record], digests_of(OTHER, kind)) == [RecordState.MISMATCH]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unusable_record_is_told_as_such(kind: str) -> None:
    authority = TLSA(Usage.DANE_TA, Selector.SPKI, MatchingType.SHA2_256, sha256(CREDENTIAL.spki).digest())
    presented = Presented(digests=digests_of(CREDENTIAL, kind))
    report = match([authority], presented, name=NAME, now=NOW, policy=ALL_USAGES)
    with pytest.raises(Refused) as caught:
        _ = report.matched
    assert caught.value.reason is Reason.TLSA_UNUSABLE


def test_the_digest_that_is_known_counts_where_a_stronger_one_is_published_too() -> None:
    """RFC 7671 section 9 chooses among the records that the verifier can use."""
    strong = CREDENTIAL.tlsa(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_512)
    weak = CREDENTIAL.tlsa(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256)
    assert states([strong, weak], digests_of(CREDENTIAL, "spki_sha256")) == [RecordState.UNUSABLE, RecordState.MATCHED]
    both = digests_of(CREDENTIAL, "spki_sha256", "spki_sha512")
    assert states([strong, weak], both) == [RecordState.MATCHED, RecordState.SUPERSEDED]


def test_full_data_must_agree_with_every_digest_that_is_known() -> None:
    whole = CREDENTIAL.tlsa(Usage.DANE_EE, Selector.SPKI, MatchingType.FULL)
    torn = LeafDigests(
        spki_sha256=sha256(CREDENTIAL.spki).digest(),
        spki_sha512=sha512(OTHER.spki).digest(),
    )
    assert states([whole], digests_of(CREDENTIAL, "spki_sha256", "spki_sha512")) == [RecordState.MATCHED]
    assert states([whole], torn) == [RecordState.MISMATCH]


def test_a_block_matches_no_digest() -> None:
    assert states([BLOCK], digests_of(CREDENTIAL, *KINDS)) in ([RecordState.MISMATCH], [RecordState.UNUSABLE])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("octets", [0, 20, 31, 33, 48, 63, 65])
def test_a_digest_of_another_length_is_none(kind: str, octets: int) -> None:
    with pytest.raises(Malformed):
        LeafDigests(**{kind: bytes(octets)})


def test_no_digest_at_all_is_none() -> None:
    with pytest.raises(Malformed):
        LeafDigests()


def test_what_is_presented_is_one_thing() -> None:
    digests = digests_of(CREDENTIAL, "spki_sha256")
    assert not Presented(digests=digests).is_empty
    with pytest.raises(Malformed):
        Presented(CREDENTIAL.chain, digests=digests)
    with pytest.raises(Malformed):
        Presented(raw_public_key=CREDENTIAL.spki, digests=digests)
    with pytest.raises(Malformed):
        _ = Presented(digests=digests).spki
