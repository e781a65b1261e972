"""One RRset against the keys of its zone: times, labels, tags, algorithms, and what hostile sets may cost."""

from dataclasses import replace

import dns.dnssec
import dns.name
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from dnsbound.dns.algorithms import ALGORITHMS, ZoneKey, key_digest, key_tag, verifier
from dnsbound.dns.canonical import key_of
from dnsbound.dns.messages import RRset, Section, add_record
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.signatures import Unverified, Verified, moment_of, verify_rrset
from dnsbound.errors import LimitExceeded, Misuse

ZONE = dns.name.from_text("cars.example.")
NOW = 1_800_000_000
DAY = 86_400

PRIVATE_KEYS = {
    Algorithm.RSASHA256: rsa.generate_private_key(65537, 1024),
    Algorithm.RSASHA512: rsa.generate_private_key(65537, 1024),
    Algorithm.ECDSAP256SHA256: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ECDSAP384SHA384: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ED25519: ed25519.Ed25519PrivateKey.generate(),
    Algorithm.ED448: ed448.Ed448PrivateKey.generate(),
}
P256 = Algorithm.ECDSAP256SHA256


def dnskey(algorithm: Algorithm) -> DNSKEY:
    return dns.dnssec.make_dnskey(PRIVATE_KEYS[algorithm].public_key(), algorithm, flags=257)


def zone_key(algorithm: Algorithm = P256) -> ZoneKey:
    record = dnskey(algorithm)
    return ZoneKey(key_tag(record.to_wire()), int(algorithm), record.key)


def records(owner: str = "www.cars.example.", *, ttl: int = 300, text: str = "192.0.2.1") -> dns.rrset.RRset:
    return dns.rrset.from_text(owner, ttl, "IN", "A", text)


def signed(
    rrset: dns.rrset.RRset,
    *,
    algorithm: Algorithm = P256,
    begins: int = NOW - DAY,
    ends: int = NOW + DAY,
    signer: dns.name.Name = ZONE,
    shown_as: str | None = None,
    **changes: object,
) -> RRset:
    """The RRset with one signature, as the validator sees it; changes: fields of the RRSIG altered after signing."""
    signature = dns.dnssec.sign(
        rrset, PRIVATE_KEYS[algorithm], signer, dnskey(algorithm), inception=begins, expiration=ends
    )
    if changes:
        signature = signature.replace(**changes)
    owner = rrset.name if shown_as is None else dns.name.from_text(shown_as)
    section: Section = {}
    for rdata in (*rrset, signature):
        add_record(section, owner.labels[:-1], rrset.ttl, rdata)
    [found] = section.values()
    return found


def judged(
    rrset: RRset, *keys: ZoneKey, now: float = NOW, policy: Policy | None = None, work: Work | None = None
) -> Verified | Unverified:
    chosen = policy or Policy()
    return verify_rrset(rrset, key_of(ZONE), keys or (zone_key(),), now=now, policy=chosen, work=work or Work(chosen))


def complaint(verified: Verified | Unverified) -> str:
    assert isinstance(verified, Unverified)
    return verified.detail


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
def test_algorithms_that_are_validated(algorithm: Algorithm) -> None:
    rrset = signed(records(), algorithm=algorithm)
    verified = judged(rrset, zone_key(algorithm))
    assert isinstance(verified, Verified)
    assert verified.wildcard is None
    assert verified.expires == NOW + DAY
    damaged = rrset.signatures[0]
    other = signed(records(text="192.0.2.2"), algorithm=algorithm)
    other.signatures = [damaged]
    assert "does not verify" in complaint(judged(other, zone_key(algorithm)))


def test_every_validated_algorithm_is_tested() -> None:
    assert {int(algorithm) for algorithm in PRIVATE_KEYS} == ALGORITHMS


@pytest.mark.parametrize("algorithm", [Algorithm.RSASHA1, Algorithm.RSASHA1NSEC3SHA1])
def test_sha1_counts_only_where_danger_says_so(algorithm: Algorithm) -> None:
    private = rsa.generate_private_key(65537, 1024)
    record = dns.dnssec.make_dnskey(private.public_key(), algorithm, flags=257)
    rrset = records()
    signature = dns.dnssec.sign(
        rrset,
        private,
        ZONE,
        record,
        inception=NOW - 1,
        expiration=NOW + 1,
        policy=dns.dnssec.allow_all_policy,
    )
    section: Section = {}
    for rdata in (*rrset, signature):
        add_record(section, rrset.name.labels[:-1], rrset.ttl, rdata)
    [found] = section.values()
    key = ZoneKey(key_tag(record.to_wire()), int(algorithm), record.key)
    assert "not supported" in complaint(judged(found, key))
    assert isinstance(judged(found, key, policy=Policy(danger_sha1=True)), Verified)


def test_unknown_algorithm_is_no_key() -> None:
    assert verifier(200, b"\x00" * 64) is None
    rrset = signed(records())
    rrset.signatures = [replace(rrset.signatures[0], algorithm=200)]
    assert "not supported" in complaint(judged(rrset))


@pytest.mark.parametrize(
    ("now", "good"),
    [(NOW - DAY - 1, False), (NOW - DAY, True), (NOW, True), (NOW + DAY, True), (NOW + DAY + 1, False)],
)
def test_window_is_closed_at_both_ends(now: float, good: bool) -> None:
    assert isinstance(judged(signed(records()), now=now), Verified) is good


def test_clock_skew_widens_the_window_by_exactly_that_much() -> None:
    policy = Policy(clock_skew=300)
    assert isinstance(judged(signed(records()), now=NOW + DAY + 300, policy=policy), Verified)
    assert "expired" in complaint(judged(signed(records()), now=NOW + DAY + 301, policy=policy))
    assert "before" in complaint(judged(signed(records()), now=NOW - DAY - 301, policy=policy))
    with pytest.raises(Misuse):
        Policy(clock_skew=-1)


def test_signature_that_ends_before_it_begins() -> None:
    rrset = signed(records(), begins=NOW - 10, ends=NOW + 10, inception=NOW + 20)
    assert "before it begins" in complaint(judged(rrset, policy=Policy(clock_skew=3600)))


@pytest.mark.parametrize(
    ("serial", "now", "moment"),
    [
        (NOW, NOW, NOW),
        (0, 0, 0),
        (2**32 - 1, 2**32, 2**32 - 1),
        (5, 2**32 - 5, 2**32 + 5),
        (2**32 - 5, 2**32 + 5, 2**32 - 5),
        (100, 3 * 2**32 + 50, 3 * 2**32 + 100),
        (2**31 - 1, 0, 2**31 - 1),
        (2**31, 2**31, 2**31),
    ],
)
def test_times_are_serial_numbers(serial: int, now: int, moment: int) -> None:
    """RFC 4034 section 3.1.5: 32 bits that wrap in 2106 and stand for the nearest moment."""
    assert moment_of(serial, now) == moment


def test_signature_across_the_wrap_of_2106() -> None:
    now = 2**32 + 100
    rrset = signed(records(), begins=(2**32 - 100), ends=200)
    assert isinstance(judged(rrset, now=now), Verified)
    assert "expired" in complaint(judged(rrset, now=2**32 + 201))


def test_ttl_is_the_least_of_record_rrsig_and_what_is_left() -> None:
    assert judged(signed(records(ttl=300))).ttl == 300  # type: ignore[union-attr]
    raised = signed(records(ttl=300))
    raised.ttl = 9999
    assert judged(raised).ttl == 300  # type: ignore[union-attr]
    lowered = signed(records(ttl=300))
    lowered.ttl = 7
    assert judged(lowered).ttl == 7  # type: ignore[union-attr]
    assert judged(signed(records(ttl=300), ends=NOW + 60)).ttl == 60  # type: ignore[union-attr]


def test_signer_must_be_the_zone() -> None:
    other = dns.name.from_text("example.")
    assert "no RRSIG over" in complaint(judged(signed(records(), signer=other)))


def test_owner_case_does_not_matter() -> None:
    assert isinstance(judged(signed(records("WwW.CaRs.ExAmPlE."))), Verified)
    shown = signed(records(), shown_as="WWW.cars.EXAMPLE.")
    assert isinstance(judged(shown), Verified)


def test_wildcard_expansion_is_reported_with_its_encloser() -> None:
    rrset = signed(records("*.cars.example."), shown_as="a.b.cars.example.")
    verified = judged(rrset)
    assert isinstance(verified, Verified)
    assert verified.wildcard == key_of(ZONE)


def test_the_wildcard_itself_is_no_expansion() -> None:
    verified = judged(signed(records("*.cars.example.")))
    assert isinstance(verified, Verified)
    assert verified.wildcard is None


def test_labels_field_larger_than_the_owner() -> None:
    assert "labels" in complaint(judged(signed(records(), labels=4)))


def test_labels_field_smaller_than_what_was_signed() -> None:
    assert "does not verify" in complaint(judged(signed(records(), labels=2)))


def test_key_of_the_same_tag_but_another_algorithm_is_not_tried() -> None:
    right = zone_key()
    wrong = ZoneKey(right.tag, int(Algorithm.ED25519), right.public)
    work = Work(Policy())
    before = work.signatures.left
    assert "by no key" in complaint(judged(signed(records()), wrong, work=work))
    assert work.signatures.left == before


def test_colliding_tags_are_told_apart_by_trying() -> None:
    right = zone_key()
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    stranger = ZoneKey(right.tag, right.algorithm, point.x.to_bytes(32) + point.y.to_bytes(32))
    assert isinstance(judged(signed(records()), stranger, stranger, right), Verified)


def test_more_keys_of_one_tag_than_are_tried() -> None:
    """CVE-2023-50387: the keys tried per signature are limited, so the right one may stand too far back."""
    right = zone_key()
    stranger = ZoneKey(right.tag, right.algorithm, b"\x01" * 64)
    work = Work(Policy(keys_per_tag=4))
    before = work.signatures.left
    assert isinstance(judged(signed(records()), *[stranger] * 4, right, work=work), Unverified)
    assert before - work.signatures.left == 4


def test_keytrap_costs_at_most_keys_times_signatures() -> None:
    """Five hundred keys of one tag and five hundred signatures that fit each of them (CVE-2023-50387)."""
    right = zone_key()
    stranger = ZoneKey(right.tag, right.algorithm, b"\x01" * 64)
    rrset = signed(records(text="192.0.2.9"))
    rrset.rdatas = signed(records()).rdatas
    rrset.signatures = rrset.signatures * 500
    policy = Policy(signatures_per_rrset=8, keys_per_tag=4)
    work = Work(policy)
    before = work.signatures.left
    assert "first 8 signatures" in complaint(judged(rrset, *[stranger] * 500, policy=policy, work=work))
    assert before - work.signatures.left == 32


def test_work_of_an_answer_ends() -> None:
    policy = Policy(signature_checks=8)
    work = Work(policy)
    rrset = signed(records())
    for _ in range(8):
        assert isinstance(judged(rrset, work=work), Verified)
    with pytest.raises(LimitExceeded) as caught:
        judged(rrset, work=work)
    assert caught.value.limit == "signature-checks"


@pytest.mark.parametrize(
    ("algorithm", "public"),
    [
        (8, b""),
        (8, b"\x03"),
        (8, b"\x00\xff\xff\x01"),
        (8, b"\x01\x03" + b"\xff" * 64),
        (8, b"\x01\x03" + b"\xff" * 600),
        (8, b"\x09" + b"\xff" * 9 + b"\xff" * 256),
        (8, b"\x01\x02" + b"\xff" * 256),
        (13, b"\x00" * 64),
        (13, b"\x00" * 63),
        (14, b"\xff" * 96),
        (15, b""),
        (16, b"\x00" * 10),
    ],
)
def test_bad_keys_verify_nothing(algorithm: int, public: bytes) -> None:
    assert ZoneKey(1, algorithm, public).verify(b"\x00" * 64, b"signed") is False


@pytest.mark.parametrize(
    ("bits", "exponent", "accepted"),
    [
        (1016, 65537, False),
        (1024, 65537, True),
        (4096, 65537, True),
        (4104, 65537, False),
        (2048, (1 << 63) + 1, True),
        (2048, (1 << 65) + 1, False),
    ],
)
def test_rsa_keys_outside_the_policy_are_none(bits: int, exponent: int, accepted: bool) -> None:
    size = (exponent.bit_length() + 7) // 8
    modulus = (1 << (bits - 1)) + 1
    public = bytes([size]) + exponent.to_bytes(size, "big") + modulus.to_bytes(bits // 8, "big")
    assert (verifier(8, public) is not None) is accepted


@pytest.mark.parametrize("length", [0, 1, 63, 65, 96, 4096])
def test_signatures_of_any_length_are_only_wrong(length: int) -> None:
    for algorithm in PRIVATE_KEYS:
        assert zone_key(algorithm).verify(b"\x30" * length, b"signed") is False


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
def test_key_tags_and_digests_are_dnspythons(algorithm: Algorithm) -> None:
    record = dnskey(algorithm)
    assert key_tag(record.to_wire()) == dns.dnssec.key_id(record)
    for digest, name in ((2, "SHA256"), (4, "SHA384")):
        expected = dns.dnssec.make_ds(ZONE, record, name).digest
        assert key_digest(key_of(ZONE), record.to_wire(), digest) == expected
    assert key_digest(key_of(ZONE), record.to_wire(), 3) is None


def test_canonical_record_order_and_duplicates() -> None:
    rrset = dns.rrset.from_text("www.cars.example.", 300, "IN", "A", "192.0.2.200", "192.0.2.3", "192.0.2.30")
    shown = signed(rrset)
    shown.rdatas = [*reversed(shown.rdatas), shown.rdatas[0]]
    assert isinstance(judged(shown), Verified)


def test_names_inside_records_are_lowered_only_where_the_standard_says() -> None:
    """RFC 4034 section 6.2 and RFC 6840 section 5.1."""
    for rdtype, text in (("MX", "10 MAIL.Cars.Example."), ("CNAME", "WWW.Cars.Example."), ("NSEC", "B.Example. A")):
        rrset = dns.rrset.from_text("x.cars.example.", 300, "IN", rdtype, text)
        assert isinstance(judged(signed(rrset)), Verified), rdtype
