"""Every form in which servers hand on certificates (rule 4 of `docs/howto/verify-service.md`), and what is none."""

import hashlib
from base64 import b64encode
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed
from dnsbound.limits import PEER_CERTIFICATES
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import byte_sequence
from dnsbound.protocols.presented_by_fronts import (
    byte_sequences,
    certificates_of_field,
    certificates_of_forwarded,
    digest_of_text,
    digests_of_texts,
    is_nothing,
    joined,
    percent_decoded,
    presented_of_body,
)

NOW = 1_780_000_000.0
NAME = ClientName.parse("car54._device.cars.example")
LEAF = Credential.generate(NAME, now=NOW).chain[0]
CHAIN = CertificateAuthority.create("cars", now=NOW).intermediate("fleet", now=NOW).issue(NAME, now=NOW).chain


def pem(*certificates: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def escaped(octets: bytes) -> bytes:
    return quote(octets, safe="").encode()


def b64(octets: bytes) -> bytes:
    return b64encode(octets)


FORMS = {
    "escaped PEM": escaped(pem(LEAF)),
    "escaped PEM, only what must be": quote(pem(LEAF), safe="+/= -").encode(),
    "PEM": pem(LEAF),
    "PEM with CRLF": pem(LEAF).replace(b"\n", b"\r\n"),
    "PEM folded by spaces": pem(LEAF).strip().replace(b"\n", b" "),
    "PEM folded by tabs": pem(LEAF).strip().replace(b"\n", b"\t"),
    "PEM on one line": pem(LEAF).replace(b"\n", b""),
    "base64 DER": b64(LEAF),
    "escaped base64 DER": escaped(b64(LEAF)),
    "byte sequence": byte_sequence(LEAF).encode(),
    "base64 DER with blanks around it": b"  " + b64(LEAF) + b"\t",
}


@pytest.mark.parametrize("form", FORMS)
def test_fr_04_every_form_of_one_certificate_is_read(form: str) -> None:
    assert certificates_of_field(FORMS[form]) == (LEAF,)


@pytest.mark.parametrize(
    "value",
    [
        escaped(pem(*CHAIN)),
        pem(*CHAIN),
        pem(*CHAIN).strip().replace(b"\n", b" "),
        b",".join(map(b64, CHAIN)),
        escaped(b",".join(map(b64, CHAIN))),
        b",".join(escaped(pem(der)) for der in CHAIN),
        ", ".join(map(byte_sequence, CHAIN)).encode(),
    ],
)
def test_fr_04_several_certificates_are_read_leaf_first(value: bytes) -> None:
    assert len(CHAIN) > 1
    assert certificates_of_field(value) == CHAIN


@pytest.mark.parametrize(
    "value",
    [b"", b"  ", b"-", b"(null)", b"(NULL)", b"null", b"none", b"{http.request.tls.client.certificate_der_base64}"],
)
def test_fr_03_what_servers_write_for_no_certificate_is_none(value: bytes) -> None:
    assert is_nothing(value)
    assert certificates_of_field(value) == ()
    assert certificates_of_forwarded(value) == ()
    assert presented_of_body(value).is_empty


def test_fr_04_plus_is_a_character_and_no_space() -> None:
    """Form decoding would turn each `+` of the base64 into a space."""
    assert percent_decoded(b"a+b%2Bc%20d") == b"a+b+c d"
    with_plus = next(
        der for der in (Credential.generate(NAME, now=NOW + n).chain[0] for n in range(200)) if b"+" in b64(der)
    )
    assert certificates_of_field(quote(pem(with_plus), safe="+").encode()) == (with_plus,)


@pytest.mark.parametrize(
    "value",
    [
        b"%",
        b"%4",
        b"%zz",
        escaped(pem(LEAF))[:-30],
        escaped(pem(LEAF)) + b"%",
        pem(LEAF)[:-40],
        pem(LEAF)[30:],
        b"x" + pem(LEAF),
        pem(LEAF) + b"x",
        pem(LEAF).replace(b"END CERTIFICATE", b"END PUBLIC KEY"),
        pem(LEAF).replace(b"CERTIFICATE", b"PRIVATE KEY"),
        quote(pem(LEAF), safe="").replace("%0A", "+").replace("%20", "+").encode(),
        b64(LEAF)[:-1],
        b64(LEAF).rstrip(b"=") + b"!",
        b64(LEAF[:-1]),
        b64(LEAF + b"\0"),
        b64(b"\x30\x03\x02\x01\x05"),
        b64(LEAF) + b"," + b64(b"no certificate"),
        b64(LEAF) + b",,",
        b":" + b64(LEAF),
        b"{not.a.placeholder}",
        "käse".encode(),
        b"\0" * 10,
    ],
)
def test_fr_04_what_is_no_certificate_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        certificates_of_field(value)


def test_more_certificates_than_a_chain_has_are_too_many() -> None:
    most = PEER_CERTIFICATES.default
    assert len(certificates_of_field(b",".join([b64(LEAF)] * most))) == most
    for value in (b",".join([b64(LEAF)] * (most + 1)), pem(*[LEAF] * (most + 1))):
        with pytest.raises(LimitExceeded):
            certificates_of_field(value)
    with pytest.raises(LimitExceeded):
        presented_of_body(LEAF * (most + 1))


def test_the_leaf_in_both_fields_is_one_leaf() -> None:
    assert joined(CHAIN[:1], CHAIN) == CHAIN
    assert joined(CHAIN[:1], CHAIN[1:]) == CHAIN
    assert joined((), CHAIN[1:]) == ()


# --- RFC 9440


def test_rh_05_client_cert_is_one_byte_sequence() -> None:
    assert byte_sequences(byte_sequence(LEAF).encode()) == (LEAF,)


def test_rh_05_client_cert_chain_is_a_list_of_them() -> None:
    assert byte_sequences(", ".join(map(byte_sequence, CHAIN)).encode()) == CHAIN


@pytest.mark.parametrize(
    "value",
    [
        b64(LEAF),
        b":" + b64(LEAF) + b":;a=1",
        b":" + b64(LEAF) + b": :" + b64(LEAF) + b":",
        b'"' + b64(LEAF) + b'"',
        b"::",
        b":=:",
        b":" + b64(LEAF)[:40] + b" " + b64(LEAF)[40:] + b":",
        b"",
        b",",
    ],
)
def test_rh_06_other_structured_fields_are_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        byte_sequences(value)


# --- Envoy


def element(**pairs: bytes) -> bytes:
    return b";".join(key.encode() + b"=" + value for key, value in pairs.items())


def quoted(octets: bytes) -> bytes:
    return b'"' + octets + b'"'


HASH = hashlib.sha256(CHAIN[0]).hexdigest().encode()
ENVOY = element(
    Hash=HASH,
    Cert=quoted(escaped(pem(CHAIN[0]))),
    Chain=quoted(escaped(pem(*CHAIN))),
    Subject=b'"CN=\\"x\\",O=a;b,c"',
    URI=b"",
    DNS=b"car54._device.cars.example",
)


def test_fr_04_the_field_of_envoy_is_read() -> None:
    assert certificates_of_forwarded(ENVOY) == CHAIN
    assert certificates_of_forwarded(element(Cert=quoted(escaped(pem(LEAF))))) == (LEAF,)
    assert certificates_of_forwarded(element(Chain=quoted(escaped(pem(*CHAIN))))) == CHAIN
    assert certificates_of_forwarded(ENVOY + b";DNS=other.cars.example") == CHAIN


@pytest.mark.parametrize(
    "value",
    [
        ENVOY + b"," + ENVOY,
        b"By=spiffe://x;Hash=00," + ENVOY,
        ENVOY + b",",
        ENVOY + b";Cert=" + quoted(escaped(pem(LEAF))),
        element(Hash=HASH),
        element(Hash=b"00" * 32, Cert=quoted(escaped(pem(LEAF)))),
        element(Cert=quoted(escaped(pem(LEAF))), Chain=quoted(escaped(pem(*CHAIN)))),
        element(Cert=quoted(escaped(pem(*CHAIN)))),
        element(Cert=b'"' + escaped(pem(LEAF))),
        element(Cert=quoted(escaped(pem(LEAF))) + b"x"),
        b"=;",
        b"Cert",
        b"; ;",
    ],
    ids=range(13),  # what is in a field differs from process to process
)
def test_fr_05_a_field_of_envoy_that_others_could_have_made_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        certificates_of_forwarded(value)


# --- bodies


def test_az_02_bodies_are_pem_or_der_or_a_key() -> None:
    key = Credential.generate(NAME, now=NOW).as_raw_key()
    spki = key.presented.raw_public_key
    assert spki is not None
    for body in (pem(*CHAIN), b"".join(CHAIN), escaped(pem(*CHAIN)), pem(*CHAIN).replace(b"\n", b"\r\n")):
        assert presented_of_body(body) == Presented(CHAIN)
    assert presented_of_body(b64(LEAF)) == Presented((LEAF,))
    shown = b"-----BEGIN PUBLIC KEY-----\n" + b64(spki) + b"\n-----END PUBLIC KEY-----\n"
    assert presented_of_body(shown) == Presented(raw_public_key=spki)
    for body in (shown + shown, shown + pem(LEAF), pem(LEAF) + shown, LEAF + b"\0", LEAF + LEAF[:9], b"\x30\x80"):
        with pytest.raises(Malformed):
            presented_of_body(body)


# --- digests


def test_az_03_digests_are_read_with_colons_or_without() -> None:
    digest = hashlib.sha256(LEAF).digest()
    for text in (digest.hex(), digest.hex().upper(), digest.hex(":"), digest.hex(":").upper()):
        assert digest_of_text(text) == digest
    expected = LeafDigests(certificate_sha256=digest)
    assert digests_of_texts({"certificate_sha256": digest.hex()}) == expected


@pytest.mark.parametrize("text", ["", "0", "0g", "00:", ":00", "00 11", "00::11", "0:0", "00" * 200])
def test_a_digest_that_is_none_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        digest_of_text(text)


@pytest.mark.parametrize("texts", [{}, {"md5": "00" * 16}, {"certificate_sha256": "00" * 20}])
def test_digests_of_other_kinds_are_malformed(texts: dict[str, str]) -> None:
    with pytest.raises(DnsboundError):
        digests_of_texts(texts)
