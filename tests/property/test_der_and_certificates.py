"""Whatever the octets: facts that agree with `cryptography`, or Malformed."""

from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import CertificateFacts, san_dns_names, spki_of
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, KeyFacts, private_key_from_der, private_key_from_pem
from dnsbound.errors import Malformed

NOW = 1_780_000_000.0
CERTIFICATES = [
    *Credential.generate("car54._device.cars.example", now=NOW).chain,
    *Credential.generate("car54._device.cars.example", algorithm=KeyAlgorithm.ED25519, now=NOW).chain,
    *CertificateAuthority.create("Cars", now=NOW).issue("car77._device.cars.example", now=NOW).chain,
]


@st.composite
def damaged_certificates(draw: st.DrawFn) -> bytes:
    octets = bytearray(draw(st.sampled_from(CERTIFICATES)))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(octets) - 1))
        change = draw(st.sampled_from(["set", "cut", "insert"]))
        if change == "set":
            octets[position] = draw(st.integers(0, 255))
        elif change == "cut":
            del octets[position : position + draw(st.integers(1, 4))]
        else:
            octets[position:position] = draw(st.binary(min_size=1, max_size=4))
        if not octets:
            break
    return bytes(octets)


@given(st.one_of(st.binary(max_size=200), damaged_certificates()))
@example(b"")
@example(b"\x30\x80\x00\x00")
def test_any_octets_give_facts_or_malformed(octets: bytes) -> None:
    for read in (spki_of, san_dns_names, CertificateFacts.from_der):
        with suppress(Malformed):
            assert read(octets) is not None


@given(damaged_certificates())
def test_where_cryptography_reads_the_key_it_is_the_same_key(octets: bytes) -> None:
    try:
        theirs = (
            x509.load_der_x509_certificate(octets)
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        ours = spki_of(octets)
    except Exception:  # noqa: BLE001 (one of the two refuses; this test is about both accepting)
        return
    assert ours == theirs or KeyFacts.from_spki(ours).spki == ours


@given(st.binary(max_size=40))
def test_elements_fill_their_bounds_or_are_malformed(octets: bytes) -> None:
    position = 0
    try:
        for _, start, end in der.elements(octets, 0, len(octets)):
            assert position < start <= end <= len(octets)
            position = end
    except Malformed:
        return
    assert position == len(octets)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 2), st.integers(0, 39))
def test_identifiers_are_written_and_read_alike(arcs: list[int], first: int, second: int) -> None:
    def encoded(value: int) -> bytes:
        octets = [value & 0x7F]
        while value := value >> 7:
            octets.append(value & 0x7F | 0x80)
        return bytes(reversed(octets))

    octets = encoded(40 * first + second) + b"".join(map(encoded, arcs))
    if len(octets) <= 64:
        assert der.oid_text(octets) == ".".join(map(str, (first, second, *arcs)))


@given(st.binary(max_size=300))
def test_any_octets_are_a_key_or_malformed(octets: bytes) -> None:
    for read in (KeyFacts.from_spki, private_key_from_der, private_key_from_pem):
        with suppress(Malformed):
            assert read(octets) is not None
