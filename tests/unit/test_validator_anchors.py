"""Trust anchors: their names, their texts, and what they make of a DNSKEY set."""

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from dnsbound.dns.anchors import ROOT_ANCHORS_DATED, TrustAnchors
from dnsbound.dns.answer import Security
from dnsbound.dns.canonical import ROOT, key_of
from dnsbound.dns.messages import RRset, Section, add_record
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.zone_trust import Judging, ZoneTrust, choose_ds, trust_by_anchor
from dnsbound.errors import Malformed, Misuse

NOW = 1_800_000_000
ZONE = dns.name.from_text("cars.example.")
ROOT_2017 = "AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU="  # noqa: E501 (one key)
ROOT_2024 = "AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5eeHspaQWOmOElZsjICMQMC3aeHbGiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRAAxm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqpdVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijtzN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUeayffKC73PYc="  # noqa: E501 (one key)


def test_built_in_root_anchors_are_the_digests_of_the_published_keys() -> None:
    anchor = TrustAnchors.root().closest_to(dns.name.from_text("car54._device.cars.example."))
    assert anchor is not None
    assert anchor.key == ROOT
    assert anchor.tags == (20326, 38696)
    published = TrustAnchors.from_text(f". DNSKEY 257 3 8 {ROOT_2017}\n. DNSKEY 257 3 8 {ROOT_2024}\n")
    keys = published.by_key[ROOT].keys
    assert {dns.dnssec.make_ds(dns.name.root, key, "SHA256") for key in keys} == set(anchor.digests)
    assert ROOT_ANCHORS_DATED >= "2026-11-22"


def test_anchor_of_the_longest_name_counts() -> None:
    anchors = TrustAnchors.root().with_(TrustAnchors.of([("cars.example.", DS("IN", "DS", 1, 13, 2, b"\1" * 32))]))
    for name, owner in (("x.cars.example.", "cars.example."), ("cars.example.", "cars.example."), ("example.", ".")):
        anchor = anchors.closest_to(dns.name.from_text(name))
        assert anchor is not None
        assert anchor.name == dns.name.from_text(owner)
    assert anchors.closest_to(dns.name.from_text("xcars.example.")) is anchors.by_key[ROOT]


def test_negative_anchor_hides_those_above_but_not_those_below() -> None:
    below = TrustAnchors.of([("lab.cars.example.", DS("IN", "DS", 1, 13, 2, b"\1" * 32))])
    anchors = TrustAnchors.root().with_(below).without("cars.example.")
    assert anchors.closest_to(dns.name.from_text("x.cars.example.")) is None
    assert anchors.closest_to(dns.name.from_text("x.lab.cars.example.")) is not None
    assert anchors.closest_to(dns.name.from_text("example.")) is not None


def test_no_anchors_cover_nothing() -> None:
    assert TrustAnchors.none().closest_to(dns.name.root) is None
    assert not TrustAnchors.none()


BIND = """
// comment
trust-anchors {
    # KSK-2017
    . initial-key 257 3 8 "AwEAAaz/tAm8yTn4
        Mfeh5eyI96WS";   /* to be rolled */
    "cars.example." static-ds 12345 13 2 "0101010101010101010101010101010101010101010101010101010101010101";
};
"""
AUTOTRUST = """; autotrust trust anchor file
;;id: . 1
;;last_queried: 1700000000 ;;Tue Nov 14 22:13:20 2023
.\t86400\tIN\tDNSKEY\t257 3 8 AwEAAaz/tAm8yTn4 ;{id = 1 (ksk), size = 2048b} ;;state=2 [  VALID  ] ;;count=0
.\t86400\tIN\tDNSKEY\t257 3 8 AwEAAa96jeuknZla ;{id = 2 (ksk), size = 2048b} ;;state=1 [ ADDPEND ] ;;count=0
.\t86400\tIN\tDNSKEY\t385 3 8 AwEAAagAIKlVZrpC ;{id = 3 (ksk), size = 2048b} ;;state=4 [ REVOKED ] ;;count=0
"""


@pytest.mark.parametrize(
    ("text", "owners", "count"),
    [
        (". IN DS 20326 8 2 " + "AB" * 32, ["."], 1),
        ("cars.example. 3600 IN DS 1 13 2 " + "AB" * 32 + "\n. DS 2 13 2 " + "CD" * 32, [".", "cars.example."], 2),
        (". 3600 DNSKEY 257 3 13 (\n  AAAA ; one\n  BBBB )\n", ["."], 1),
        ("; only\n\n$ORIGIN .\n. DS 1 13 2 " + "AB" * 32, ["."], 1),
        (BIND, [".", "cars.example."], 2),
        (AUTOTRUST, ["."], 1),
    ],
)
def test_texts(text: str, owners: list[str], count: int) -> None:
    anchors = TrustAnchors.from_text(text)
    assert sorted(anchor.name.to_text() for anchor in anchors.by_key.values()) == owners
    assert sum(len(anchor.digests) + len(anchor.keys) for anchor in anchors.by_key.values()) == count
    assert TrustAnchors.from_text(anchors.to_text()).by_key == anchors.by_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "; nothing",
        "cars.example. A 192.0.2.1",
        ". DS 1 13 2 XYZ",
        ". DS",
        ". DNSKEY 257 3 13 (AAAA",
        "a..b. DS 1 13 2 " + "AB" * 32,
        ". DS 1 13 2 \\# 4 01020304",
        'trust-anchors { . initial-key 257 3 8 "AAAA" trailing; };',
        "trust-anchors { };",
        AUTOTRUST.replace("state=2", "state=0"),
    ],
)
def test_texts_that_hold_no_anchor(text: str) -> None:
    with pytest.raises(Malformed):
        TrustAnchors.from_text(text)


def test_of_takes_ds_and_dnskey_alone() -> None:
    with pytest.raises(Misuse):
        TrustAnchors.of([(".", dns.rdata.from_text("IN", "A", "192.0.2.1"))])  # type: ignore[list-item]


# A DNSKEY set judged by an anchor

PRIVATE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def dnskey(private: ec.EllipticCurvePrivateKey = PRIVATE, *, flags: int = 257, protocol: int = 3) -> DNSKEY:
    record = dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=flags)
    return record.replace(protocol=protocol)


def key_set(*keys: DNSKEY, signer: DNSKEY | None = None, private: ec.EllipticCurvePrivateKey = PRIVATE) -> RRset:
    rrset = dns.rrset.from_rdata_list(ZONE, 3600, list(keys))
    signature = dns.dnssec.sign(rrset, private, ZONE, signer or keys[0], inception=NOW - 10, expiration=NOW + 10)
    section: Section = {}
    for rdata in (*keys, signature):
        add_record(section, ZONE.labels[:-1], 3600, rdata)
    return section[key_of(ZONE), dns.rdatatype.DNSKEY]


def trust(keys: RRset, anchors: TrustAnchors, policy: Policy | None = None) -> ZoneTrust:
    chosen = policy or Policy()
    anchor = anchors.closest_to(ZONE)
    assert anchor is not None
    return trust_by_anchor(keys, anchor, Judging(NOW, chosen, Work(chosen)))


def ds(key: DNSKEY, digest: str = "SHA256") -> DS:
    return dns.dnssec.make_ds(ZONE, key, digest, policy=dns.dnssec.allow_all_policy)


@pytest.mark.parametrize("anchor", [ds(dnskey()), ds(dnskey(), "SHA384"), ds(dnskey(), "SHA1"), dnskey()])
def test_anchor_by_digest_or_by_key(anchor: DS | DNSKEY) -> None:
    found = trust(key_set(dnskey(), dnskey(OTHER, flags=256)), TrustAnchors.of([(ZONE, anchor)]))
    assert found.security is Security.SECURE, found.detail
    assert len(found.keys) == 2
    assert found.expires == NOW + 10
    assert found.until == NOW + 10


def test_anchor_of_another_key() -> None:
    found = trust(key_set(dnskey()), TrustAnchors.of([(ZONE, ds(dnskey(OTHER)))]))
    assert found.security is Security.BOGUS
    assert "none of the keys" in found.detail


def test_digest_that_is_wrong() -> None:
    wrong = ds(dnskey()).replace(digest=b"\0" * 32)
    assert trust(key_set(dnskey()), TrustAnchors.of([(ZONE, wrong)])).security is Security.BOGUS


def test_set_must_be_signed_by_the_anchored_key() -> None:
    keys = key_set(dnskey(), dnskey(OTHER), signer=dnskey(OTHER), private=OTHER)
    found = trust(keys, TrustAnchors.of([(ZONE, ds(dnskey()))]))
    assert found.security is Security.BOGUS
    assert "by no key" in found.detail


@pytest.mark.parametrize(
    "unfit",
    [dnskey(flags=1), dnskey(flags=257 | 0x80), dnskey(protocol=2)],
    ids=["no zone key", "revoked", "protocol"],
)
def test_keys_that_may_not_sign(unfit: DNSKEY) -> None:
    """RFC 4034 section 2.1, RFC 5011 section 2.1: even when the anchor names them."""
    found = trust(key_set(unfit), TrustAnchors.of([(ZONE, ds(unfit))]))
    assert found.security is Security.BOGUS
    assert found.keys == ()


def test_key_set_expanded_from_a_wildcard() -> None:
    wildcard = dns.rrset.from_rdata_list(dns.name.from_text("*.example."), 3600, [dnskey()])
    signature = dns.dnssec.sign(wildcard, PRIVATE, ZONE, dnskey(), inception=NOW - 10, expiration=NOW + 10)
    section: Section = {}
    for rdata in (dnskey(), signature):
        add_record(section, ZONE.labels[:-1], 3600, rdata)
    found = trust(section[key_of(ZONE), dns.rdatatype.DNSKEY], TrustAnchors.of([(ZONE, ds(dnskey()))]))
    assert found.security is Security.BOGUS
    assert "wildcard" in found.detail


def test_revoked_key_beside_a_good_one_is_not_used() -> None:
    revoked = dnskey(OTHER, flags=257 | 0x80)
    found = trust(key_set(dnskey(), revoked), TrustAnchors.of([(ZONE, ds(dnskey()))]))
    assert found.security is Security.SECURE
    assert len(found.keys) == 1


def test_anchor_without_a_supported_algorithm_secures_nothing() -> None:
    for unknown in (ds(dnskey()).replace(algorithm=200), ds(dnskey()).replace(digest_type=200)):
        found = trust(key_set(dnskey()), TrustAnchors.of([(ZONE, unknown)]))
        assert found.security is Security.INSECURE


def test_sha1_digest_counts_only_alone() -> None:
    """RFC 4509 section 3: an attacker must not be able to choose the weaker digest."""
    sha1, sha256 = ds(dnskey(), "SHA1"), ds(dnskey())
    assert choose_ds([sha1], Policy()) == (sha1,)
    assert choose_ds([sha1, sha256], Policy()) == (sha256,)
    assert choose_ds([sha1, sha256.replace(algorithm=200)], Policy()) == (sha1,)
    assert choose_ds([sha256.replace(digest_type=3)], Policy()) == ()
    wrong = sha256.replace(digest=b"\0" * 32)
    assert trust(key_set(dnskey()), TrustAnchors.of([(ZONE, sha1), (ZONE, wrong)])).security is Security.BOGUS


def test_many_digests_of_many_keys_cost_one_hash_per_key() -> None:
    """Colliding tags in DS and DNSKEY sets (CVE-2023-50387): linear work, and no signature is tried in vain."""
    digests = [ds(dnskey()).replace(digest=bytes([n]) * 32) for n in range(60)]
    chosen = Policy()
    work = Work(chosen)
    before = work.signatures.left
    anchor = TrustAnchors.of([(ZONE, one) for one in digests]).closest_to(ZONE)
    assert anchor is not None
    found = trust_by_anchor(key_set(dnskey()), anchor, Judging(NOW, chosen, work))
    assert found.security is Security.BOGUS
    assert work.signatures.left == before
