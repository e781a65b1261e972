"""Usages 0 to 2: chains to published and configured authorities, and everything that makes one invalid.

CA-20, CA-21, OP-04 to OP-08, RFC 7671 section 5.2 to 5.4, RFC 5280 section 6.1.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from dnsbound.credential.association import tlsa_for_certificate, tlsa_for_spki
from dnsbound.credential.matching import MatchPolicy, match
from dnsbound.credential.presented import Presented
from dnsbound.errors import LimitExceeded, Reason, Refused
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import PEER_CERTIFICATES
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from unit.estates import AUTHORITY, END_ENTITY, NAME, NOW, Extensions, Member, key_usage, rsa_key

CLIENT = ClientName.parse(NAME)
PURPOSE = {
    "client": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
    "server": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    "any": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
}
ROOT = Member("Cars")
MIDDLE = Member("Cars west", ROOT)
LEAF = Member("car54", MIDDLE, END_ENTITY)
STRANGER = Member("Cars")


def outcome(
    records: Sequence[TLSA],
    *chain: Member,
    name: ClientName = CLIENT,
    policy: MatchPolicy | None = None,
    now: float = NOW,
) -> Reason | TLSA:
    """The record that matched, or the reason why none did."""
    presented = Presented(tuple(member.der for member in chain))
    report = match(records, presented, name=name, now=now, policy=policy or MatchPolicy())
    try:
        return report.matched.record
    except Refused as refusal:
        return refusal.reason


def anchor(
    member: Member,
    selector: Selector = Selector.CERT,
    matching_type: MatchingType = MatchingType.SHA2_256,
    usage: Usage = Usage.DANE_TA,
) -> TLSA:
    return tlsa_for_certificate(member.der, usage, selector, matching_type)


ALL_FORMS = [(selector, matching_type) for selector in Selector for matching_type in MatchingType]


class TestPublishedAuthority:
    """Usage 2."""

    @pytest.mark.parametrize(("selector", "matching_type"), ALL_FORMS)
    @pytest.mark.parametrize("authority", [ROOT, MIDDLE], ids=["root", "intermediate"])
    def test_any_authority_of_the_chain_may_be_the_published_one(
        self, authority: Member, selector: Selector, matching_type: MatchingType
    ) -> None:
        record = anchor(authority, selector, matching_type)
        assert outcome([record], LEAF, MIDDLE, ROOT) == record

    def test_the_order_of_the_other_certificates_and_strangers_among_them_do_not_matter(self) -> None:
        record = anchor(ROOT)
        assert outcome([record], LEAF, ROOT, STRANGER, MIDDLE) == record

    def test_another_authority_of_the_same_name_is_another_one(self) -> None:
        assert outcome([anchor(STRANGER)], LEAF, MIDDLE, ROOT) is Reason.TLSA_MISMATCH
        assert outcome([anchor(STRANGER)], LEAF, MIDDLE, ROOT, STRANGER) is Reason.CHAIN_INVALID

    @pytest.mark.parametrize("selector", list(Selector))
    def test_the_leaf_is_no_authority_of_itself(self, selector: Selector) -> None:
        alone = Member("car54", None, END_ENTITY)
        record = anchor(alone, selector, MatchingType.SHA2_256)
        assert outcome([record], alone) is Reason.TLSA_MISMATCH
        assert outcome([record], alone, alone) is Reason.CHAIN_INVALID

    def test_2_0_0_works_without_the_authority_in_the_handshake(self) -> None:
        record = anchor(ROOT, Selector.CERT, MatchingType.FULL)
        assert outcome([record], LEAF, MIDDLE) == record
        assert outcome([anchor(ROOT)], LEAF, MIDDLE) is Reason.TLSA_MISMATCH
        assert outcome([anchor(STRANGER, Selector.CERT, MatchingType.FULL)], LEAF, MIDDLE) is Reason.CHAIN_INVALID

    def test_2_1_0_works_when_its_key_signed_the_topmost_certificate(self) -> None:
        record = anchor(ROOT, Selector.SPKI, MatchingType.FULL)
        assert outcome([record], LEAF, MIDDLE) == record
        assert outcome([anchor(ROOT, Selector.SPKI)], LEAF, MIDDLE) is Reason.TLSA_MISMATCH
        assert outcome([anchor(STRANGER, Selector.SPKI, MatchingType.FULL)], LEAF, MIDDLE) is Reason.CHAIN_INVALID
        direct = Member("car54", ROOT, END_ENTITY)
        assert outcome([record], direct) == record

    @pytest.mark.parametrize(
        "key",
        [
            rsa_key(2048),
            ed25519.Ed25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP384R1()),
            mldsa.MLDSA44PrivateKey.generate(),
            mldsa.MLDSA65PrivateKey.generate(),
        ],
    )
    def test_2_1_0_with_every_kind_of_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        root = Member("Cars", key=key)
        client = Member("car54", root, END_ENTITY)
        record = tlsa_for_spki(root.spki, Usage.DANE_TA, MatchingType.FULL)
        assert outcome([record], client) == record
        for other in (ROOT, Member("x", key=rsa_key(2048)), Member("x", key=ed25519.Ed25519PrivateKey.generate())):
            assert (
                outcome([tlsa_for_spki(other.spki, Usage.DANE_TA, MatchingType.FULL)], client) is Reason.CHAIN_INVALID
            )

    @pytest.mark.parametrize("selector", list(Selector))
    def test_full_data_that_is_no_certificate_or_key_matches_nothing(self, selector: Selector) -> None:
        record = TLSA(2, selector, 0, b"\x30\x03\x02\x01\x01")
        assert outcome([record], LEAF, MIDDLE, ROOT) is Reason.CHAIN_INVALID

    def test_an_authority_without_the_intermediate_leads_nowhere(self) -> None:
        assert outcome([anchor(ROOT)], LEAF, ROOT) is Reason.CHAIN_INVALID

    def test_the_claimed_name_must_be_in_the_certificate(self) -> None:
        for name in ("car55._device.cars.example", "x.car54._device.cars.example", "_device.cars.example"):
            assert (
                outcome([anchor(ROOT)], LEAF, MIDDLE, ROOT, name=ClientName.parse(name))
                is Reason.NAME_NOT_IN_CERTIFICATE
            )
        assert outcome([anchor(ROOT)], LEAF, MIDDLE, ROOT, name=ClientName.parse(NAME.upper())) == anchor(ROOT)

    @pytest.mark.parametrize(
        "names",
        [
            None,
            [x509.DNSName("*._device.cars.example")],
            [x509.DNSName(NAME + ".")],
            [x509.RFC822Name("car54@cars.example"), x509.UniformResourceIdentifier("https://" + NAME)],
        ],
    )
    def test_only_an_exact_dnsname_counts(self, names: list[x509.GeneralName] | None) -> None:
        extensions: Extensions = () if names is None else [(x509.SubjectAlternativeName(names), False)]
        leaf = Member(NAME, MIDDLE, extensions)
        assert outcome([anchor(ROOT)], leaf, MIDDLE, ROOT) is Reason.NAME_NOT_IN_CERTIFICATE

    def test_one_of_several_names_is_enough(self) -> None:
        names = x509.SubjectAlternativeName([x509.DNSName("other.example"), x509.DNSName(NAME.title())])
        leaf = Member("car54", MIDDLE, [(names, False)])
        assert outcome([anchor(ROOT)], leaf, MIDDLE, ROOT) == anchor(ROOT)

    def test_a_matching_usage_3_record_beside_it_needs_no_name(self) -> None:
        leaf = Member("car54", MIDDLE, [])
        both = [anchor(ROOT), tlsa_for_certificate(leaf.der)]
        assert outcome(both, leaf, MIDDLE, ROOT) == both[1]

    def test_a_wildcard_record_of_usage_2_is_what_wildcards_are_for(self) -> None:
        presented = Presented((LEAF.der, MIDDLE.der, ROOT.der))
        report = match([anchor(ROOT)], presented, name=CLIENT, now=NOW, policy=MatchPolicy(), from_wildcard=True)
        assert report.matched.record == anchor(ROOT)


def critical_unknown() -> Extensions:
    return [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.9999"), b"\x05\x00"), True)]


def leaf_with(*extensions: tuple[x509.ExtensionType, bool], **fields: int) -> list[Member]:
    return [Member("car54", MIDDLE, [*END_ENTITY, *extensions], **fields), MIDDLE, ROOT]  # type: ignore[arg-type]


def middle_with(extensions: Extensions, **fields: int) -> list[Member]:
    middle = Member("Cars west", ROOT, extensions, **fields)  # type: ignore[arg-type]
    return [Member("car54", middle, END_ENTITY), middle, ROOT]


def root_with(extensions: Extensions, **fields: int) -> list[Member]:
    root = Member("Cars", None, extensions, **fields)  # type: ignore[arg-type]
    middle = Member("Cars west", root)
    return [Member("car54", middle, END_ENTITY), middle, root]


def path_length(length: int) -> Extensions:
    return [(x509.BasicConstraints(ca=True, path_length=length), True)]


def constrained(permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None) -> list[Member]:
    constraint = x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded)
    return root_with([*AUTHORITY, (constraint, True)])


INVALID = {
    "leaf expired": leaf_with(end=2021),
    "leaf not yet valid": leaf_with(start=2080),
    "intermediate expired": middle_with(AUTHORITY, end=2021),
    "root expired": root_with(AUTHORITY, end=2021),
    "leaf for servers only": leaf_with((PURPOSE["server"], False)),
    "intermediate for servers only": middle_with([*AUTHORITY, (PURPOSE["server"], False)]),
    "leaf key may not sign": leaf_with((key_usage(), True)),
    "leaf unknown critical extension": leaf_with(*critical_unknown()),
    "intermediate unknown critical extension": middle_with([*AUTHORITY, *critical_unknown()]),
    "intermediate is no authority": middle_with([(x509.BasicConstraints(ca=False, path_length=None), True)]),
    "intermediate without basicConstraints": middle_with([]),
    "intermediate may not certify": middle_with([*AUTHORITY, (key_usage(sign=True), True)]),
    "root is marked as no authority": root_with([(x509.BasicConstraints(ca=False, path_length=None), True)]),
    "root may not certify": root_with([*AUTHORITY, (key_usage(sign=True), True)]),
    "root allows none below": root_with(path_length(0)),
    "name excluded": constrained(None, [x509.DNSName("cars.example")]),
    "name excluded by leading dot": constrained(None, [x509.DNSName(".cars.example")]),
    "name excluded with everything": constrained(None, [x509.DNSName("")]),
    "name not permitted": constrained([x509.DNSName("trucks.example")], None),
    "name permitted and excluded": constrained([x509.DNSName("cars.example")], [x509.DNSName("_device.cars.example")]),
    "directory name not permitted": constrained([x509.DirectoryName(ROOT.subject)], None),
    "directory name excluded": constrained(None, [x509.DirectoryName(LEAF.subject)]),
}


@pytest.mark.parametrize("chain", INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("selector", list(Selector))
def test_a_chain_with_one_fault_is_invalid(chain: list[Member], selector: Selector) -> None:
    assert outcome([anchor(chain[-1], selector)], *chain) is Reason.CHAIN_INVALID


VALID = {
    "plain": [LEAF, MIDDLE, ROOT],
    "leaf for clients": leaf_with((PURPOSE["client"], True)),
    "leaf for any purpose": leaf_with((PURPOSE["any"], False)),
    "leaf key may sign": leaf_with((key_usage(sign=True), True)),
    "leaf unknown extension that is not critical": leaf_with((critical_unknown()[0][0], False)),
    "intermediate for clients": middle_with([*AUTHORITY, (PURPOSE["client"], False)]),
    "intermediate may certify": middle_with([*AUTHORITY, (key_usage(certify=True), True)]),
    "root without basicConstraints": root_with([]),
    "root allows one below": root_with(path_length(1)),
    "intermediate allows none below": middle_with(path_length(0)),
    "name permitted": constrained([x509.DNSName("cars.example")], None),
    "name permitted whatever its case": constrained([x509.DNSName("CARS.example")], None),
    "other names excluded": constrained(None, [x509.DNSName("xcars.example"), x509.DNSName("trucks.example")]),
    "forms the certificate does not have": constrained(
        [x509.RFC822Name("cars.example"), x509.IPAddress(ip_network("192.0.2.0/24"))], None
    ),
}


@pytest.mark.parametrize("chain", VALID.values(), ids=VALID)
@pytest.mark.parametrize("selector", list(Selector))
def test_a_chain_without_fault_is_valid(chain: list[Member], selector: Selector) -> None:
    record = anchor(chain[-1], selector)
    assert outcome([record], *chain) == record


def with_names(constraint: x509.NameConstraints, *names: x509.GeneralName) -> list[Member]:
    root = Member("Cars", None, [*AUTHORITY, (constraint, True)])
    shown = x509.SubjectAlternativeName([x509.DNSName(NAME), *names])
    return [Member("car54", root, [(shown, False)]), root]


@pytest.mark.parametrize(
    ("constraint", "name", "valid"),
    [
        (x509.IPAddress(ip_network("192.0.2.0/24")), x509.IPAddress(ip_address("192.0.2.7")), True),
        (x509.IPAddress(ip_network("192.0.2.0/24")), x509.IPAddress(ip_address("198.51.100.7")), False),
        (x509.RFC822Name("cars.example"), x509.RFC822Name("car54@cars.example"), False),
        (
            x509.UniformResourceIdentifier("cars.example"),
            x509.UniformResourceIdentifier("https://cars.example/"),
            False,
        ),
    ],
)
def test_constraints_on_other_forms_are_applied_or_refused(
    constraint: x509.GeneralName, name: x509.GeneralName, valid: bool
) -> None:
    chain = with_names(x509.NameConstraints(permitted_subtrees=[constraint], excluded_subtrees=None), name)
    expected = anchor(chain[-1]) if valid else Reason.CHAIN_INVALID
    assert outcome([anchor(chain[-1])], *chain) == expected


LIBRARY_DIFFERS = {
    "root without basicConstraints": "RFC 6698 section 2.1.1 lets a named authority go without",
    "name permitted": "the library finds underscores malformed under name constraints",
    "name permitted whatever its case": "the library finds underscores malformed under name constraints",
    "other names excluded": "the library finds underscores malformed under name constraints",
    "leaf for servers only": "purposes are the caller's there",
    "intermediate for servers only": "purposes are the caller's there",
    "leaf key may not sign": "keyUsage is the caller's there",
    "intermediate may not certify": "keyUsage is the caller's there",
    "root may not certify": "keyUsage is the caller's there",
}
"""Chains on which we and `cryptography.x509.verification` disagree, and why."""


@pytest.mark.parametrize("title", [*VALID, *INVALID])
def test_the_library_agrees_but_for_known_reasons(title: str) -> None:
    chain = (VALID | INVALID)[title]
    assert (_library_accepts(chain) is (title in VALID)) is (title not in LIBRARY_DIFFERS)


def _library_accepts(chain: list[Member]) -> bool:
    leaf, *between, root = (x509.load_der_x509_certificate(member.der) for member in chain)
    permissive = verification.ExtensionPolicy.permit_all()
    agnostic = verification.Criticality.AGNOSTIC
    builder = verification.PolicyBuilder().store(verification.Store([root])).time(datetime.fromtimestamp(NOW, UTC))
    builder = builder.extension_policies(
        ca_policy=permissive.require_present(x509.BasicConstraints, agnostic, None),
        ee_policy=permissive.require_present(x509.SubjectAlternativeName, agnostic, None),
    )
    try:
        builder.build_client_verifier().verify(leaf, between)
    except verification.VerificationError:
        return False
    return True


WEAK = {
    "RSA 1024 leaf": [Member("car54", MIDDLE, END_ENTITY, key=rsa_key(1024)), MIDDLE, ROOT],
    "odd curve": [Member("car54", MIDDLE, END_ENTITY, key=ec.generate_private_key(ec.SECP256K1())), MIDDLE, ROOT],
}


@pytest.mark.parametrize("chain", WEAK.values(), ids=WEAK)
def test_weak_keys_are_refused_unless_the_danger_is_chosen(chain: list[Member]) -> None:
    record = anchor(chain[-1])
    assert outcome([record], *chain) is Reason.CHAIN_INVALID
    assert outcome([record], *chain, policy=MatchPolicy(danger_weak_crypto=True)) == record


def test_sha1_signatures_are_never_taken() -> None:
    root = Member("Cars", key=rsa_key(2048))
    leaf = Member("car54", root, END_ENTITY)
    leaf.der = signed_over_sha1(leaf.der, root)
    bare_key = anchor(root, Selector.SPKI, MatchingType.FULL)
    for policy in (MatchPolicy(), MatchPolicy(danger_weak_crypto=True)):
        assert outcome([anchor(root)], leaf, root, policy=policy) is Reason.CHAIN_INVALID
        assert outcome([bare_key], leaf, policy=policy) is Reason.CHAIN_INVALID


def signed_over_sha1(certificate: bytes, issuer: Member) -> bytes:
    """The same certificate with sha1WithRSAEncryption, which the library reads and does not write."""
    sha256_with_rsa, sha1_with_rsa = (bytes.fromhex("2a864886f70d0101") + bytes([last]) for last in (11, 5))
    parsed = x509.load_der_x509_certificate(certificate)
    assert certificate.endswith(parsed.signature)
    head = certificate[: -len(parsed.signature)].replace(sha256_with_rsa, sha1_with_rsa)
    tbs = parsed.tbs_certificate_bytes.replace(sha256_with_rsa, sha1_with_rsa)
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    return head + issuer.key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())


def test_a_key_authenticated_by_its_own_record_may_be_any() -> None:
    leaf = WEAK["odd curve"][0]
    assert outcome([tlsa_for_certificate(leaf.der)], leaf) == tlsa_for_certificate(leaf.der)


def test_validity_follows_the_moment_that_is_given() -> None:
    record = anchor(ROOT)
    assert outcome([record], LEAF, MIDDLE, ROOT, now=NOW) == record
    assert outcome([record], LEAF, MIDDLE, ROOT, now=0.0) is Reason.CHAIN_INVALID
    assert outcome([record], LEAF, MIDDLE, ROOT, now=5_000_000_000.0) is Reason.CHAIN_INVALID


class TestConfiguredRoots:
    """Usages 0 and 1."""

    POLICY = MatchPolicy(usages=frozenset(Usage), roots=(ROOT.der,))

    def test_they_are_off_unless_switched_on(self) -> None:
        for usage in (Usage.PKIX_TA, Usage.PKIX_EE):
            record = anchor(LEAF if usage == Usage.PKIX_EE else ROOT, usage=usage)
            assert outcome([record], LEAF, MIDDLE, ROOT) is Reason.TLSA_UNUSABLE

    @pytest.mark.parametrize(("selector", "matching_type"), ALL_FORMS)
    def test_usage_1_needs_the_leaf_and_a_path(self, selector: Selector, matching_type: MatchingType) -> None:
        record = anchor(LEAF, selector, matching_type, Usage.PKIX_EE)
        assert outcome([record], LEAF, MIDDLE, policy=self.POLICY) == record
        assert outcome([record], LEAF, policy=self.POLICY) is Reason.CHAIN_INVALID
        other = Member("car54", MIDDLE, END_ENTITY)
        assert outcome([record], other, MIDDLE, policy=self.POLICY) is Reason.TLSA_MISMATCH
        foreign = MatchPolicy(usages=frozenset(Usage), roots=(STRANGER.der,))
        assert outcome([record], LEAF, MIDDLE, ROOT, policy=foreign) is Reason.CHAIN_INVALID

    def test_usage_1_needs_the_name_and_the_dates(self) -> None:
        nameless = Member("car54", MIDDLE, [])
        record = anchor(nameless, usage=Usage.PKIX_EE)
        assert outcome([record], nameless, MIDDLE, policy=self.POLICY) is Reason.NAME_NOT_IN_CERTIFICATE
        expired = Member("car54", MIDDLE, END_ENTITY, end=2021)
        record = anchor(expired, usage=Usage.PKIX_EE)
        assert outcome([record], expired, MIDDLE, policy=self.POLICY) is Reason.CHAIN_INVALID

    @pytest.mark.parametrize(("selector", "matching_type"), ALL_FORMS)
    @pytest.mark.parametrize("authority", [ROOT, MIDDLE], ids=["root", "intermediate"])
    def test_usage_0_needs_a_path_that_holds_the_authority(
        self, authority: Member, selector: Selector, matching_type: MatchingType
    ) -> None:
        record = anchor(authority, selector, matching_type, Usage.PKIX_TA)
        assert outcome([record], LEAF, MIDDLE, policy=self.POLICY) == record
        absent = anchor(STRANGER, selector, matching_type, Usage.PKIX_TA)
        assert outcome([absent], LEAF, MIDDLE, STRANGER, policy=self.POLICY) is Reason.TLSA_MISMATCH

    def test_usage_0_looks_beyond_the_first_trusted_certificate(self) -> None:
        # RFC 7671 section 5.4: the intermediate is trusted too, and the record names the root above it.
        policy = MatchPolicy(usages=frozenset(Usage), roots=(MIDDLE.der, ROOT.der))
        record = anchor(ROOT, usage=Usage.PKIX_TA)
        assert outcome([record], LEAF, MIDDLE, ROOT, policy=policy) == record
        only_middle = MatchPolicy(usages=frozenset(Usage), roots=(MIDDLE.der,))
        assert outcome([record], LEAF, MIDDLE, ROOT, policy=only_middle) == record

    def test_usage_0_is_not_satisfied_by_the_record_alone(self) -> None:
        foreign = MatchPolicy(usages=frozenset(Usage), roots=(STRANGER.der,))
        record = anchor(ROOT, usage=Usage.PKIX_TA)
        assert outcome([record], LEAF, MIDDLE, ROOT, policy=foreign) is Reason.CHAIN_INVALID

    def test_usage_0_does_not_take_the_leaf_for_an_authority(self) -> None:
        record = anchor(LEAF, usage=Usage.PKIX_TA)
        assert outcome([record], LEAF, MIDDLE, policy=self.POLICY) is Reason.TLSA_MISMATCH

    def test_with_all_usages_the_stronger_claim_is_tried_first(self) -> None:
        records = [anchor(ROOT, usage=Usage.PKIX_TA), anchor(LEAF, usage=Usage.PKIX_EE), anchor(ROOT)]
        assert outcome(records, LEAF, MIDDLE, ROOT, policy=self.POLICY) == anchor(ROOT)
        assert outcome(records[:2], LEAF, MIDDLE, policy=self.POLICY) == records[1]


def test_cross_certificates_are_searched_until_a_path_is_valid() -> None:
    """Two certificates of one intermediate: the way through the expired one must not hide the other."""
    expired = Member("Cars west", ROOT, key=MIDDLE.key, end=2021)
    for chain in ([LEAF, expired, MIDDLE, ROOT], [LEAF, MIDDLE, expired, ROOT]):
        assert outcome([anchor(ROOT)], *chain) == anchor(ROOT)


def test_certificates_that_certify_each_other_in_circles_cost_bounded_work() -> None:
    """Every member certifies every other: without a budget the paths are more than anybody can try."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    roots = [Member("Ring", key=key) for key in keys]
    ring = [Member("Ring", signer, key=key) for key in keys for signer in roots if signer.key is not key]
    leaf = Member("car54", roots[0], END_ENTITY)
    chain = [leaf, *roots, *ring][: PEER_CERTIFICATES.default]
    record = tlsa_for_certificate(STRANGER.der, Usage.DANE_TA, Selector.SPKI, MatchingType.FULL)
    with pytest.raises(LimitExceeded) as caught:
        outcome([record] * 8, *chain)
    assert caught.value.limit == "path-steps"


def test_more_certificates_than_the_limit_are_invalid() -> None:
    chain = [LEAF, MIDDLE, ROOT, *[STRANGER] * PEER_CERTIFICATES.default]
    assert outcome([anchor(ROOT)], *chain) is Reason.CHAIN_INVALID
    assert outcome([tlsa_for_certificate(LEAF.der)], *chain) == tlsa_for_certificate(LEAF.der)


SHA256_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class HugeKey:
    """An RSA key of many primes, whose signatures are true: a peer has it at hand sooner than one of two primes."""

    def __init__(self, primes: int) -> None:
        halves = [rsa_key(2048).private_numbers() for _ in range(primes // 2)]
        self._primes = [prime for numbers in halves for prime in (numbers.p, numbers.q)]
        self._modulus = math.prod(self._primes)
        self.public = rsa.RSAPublicNumbers(65537, self._modulus).public_key()

    def signed(self, certificate: x509.Certificate) -> bytes:
        """DER of the same fields under this key's signature."""
        tbs, octets = certificate.tbs_certificate_bytes, (self._modulus.bit_length() + 7) // 8
        info = SHA256_INFO + hashlib.sha256(tbs).digest()
        padded = int.from_bytes(b"\0\1" + b"\xff" * (octets - 3 - len(info)) + b"\0" + info, "big")
        signature = 0
        for prime in self._primes:
            rest = self._modulus // prime
            root = pow(padded % prime, pow(65537, -1, prime - 1), prime)
            signature += root * rest * pow(rest, -1, prime)
        bits = b"\0" + (signature % self._modulus).to_bytes(octets, "big")
        body = tbs + SHA256_RSA + b"\x03\x82" + len(bits).to_bytes(2, "big") + bits
        return b"\x30\x82" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(("primes", "reason"), [(8, None), (10, Reason.CHAIN_INVALID)])
def test_a_key_that_is_huge_makes_no_work(primes: int, reason: Reason | None) -> None:
    """A peer may present authorities with keys of 16384 bits, each signature to be verified at fifty times the cost."""
    huge, signer = HugeKey(primes), rsa_key(2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "huge")])

    def made(key: rsa.RSAPublicKey, extensions: Extensions) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key)
        builder = builder.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(2090, 1, 1, tzinfo=UTC))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return huge.signed(builder.sign(signer, hashes.SHA256()))

    leaf, root = made(signer.public_key(), END_ENTITY), made(huge.public, AUTHORITY)
    bare = tlsa_for_certificate(root, Usage.DANE_TA, Selector.SPKI, MatchingType.FULL)
    whole = tlsa_for_certificate(root, Usage.DANE_TA, Selector.CERT, MatchingType.SHA2_256)
    for record, chain in ((whole, (leaf, root)), (bare, (leaf,))):
        [result] = match([record], Presented(chain), name=CLIENT, now=NOW, policy=MatchPolicy()).results
        assert result.reason is reason
