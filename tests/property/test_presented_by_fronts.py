"""What fronts hand on: written in any form it is read back, and any octets are certificates or an error of ours."""

from base64 import b64encode
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import byte_sequence
from dnsbound.protocols.presented_by_fronts import (
    certificates_of_field,
    certificates_of_forwarded,
    percent_decoded,
    presented_of_body,
)

NOW = 1_780_000_000.0
KINDS = (KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048)
POOL = [
    Credential.generate(ClientName.parse(f"car{n}._device.cars.example"), now=NOW, algorithm=kind).chain[0]
    for n, kind in enumerate(KINDS * 2)
]
chains = st.lists(st.sampled_from(POOL), min_size=1, max_size=4).map(tuple)
blanks = st.sampled_from(["\n", "\r\n", " ", "\t", " \t", ""])
safe = st.sampled_from(["", "+/=", " ", "-", "+/= -\n"])


def pem(certificates: tuple[bytes, ...]) -> str:
    parts = (x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)
    return b"".join(parts).decode()


def flipped(der: bytes, at: int, bits: int) -> bytes:
    return der[:at] + bytes([der[at] ^ bits]) + der[at + 1 :]


@given(chains, blanks, safe, st.booleans())
def test_pem_is_read_however_its_lines_end_and_whatever_is_escaped(
    chain: tuple[bytes, ...], blank: str, left: str, escaped: bool
) -> None:
    text = pem(chain).strip().replace("\n", blank)
    value = (quote(text, safe=left) if escaped else text).encode()
    assert certificates_of_field(value) == chain
    assert presented_of_body(value).chain == chain


@given(chains, safe)
def test_base64_and_byte_sequences_are_read(chain: tuple[bytes, ...], left: str) -> None:
    plain = b",".join(map(b64encode, chain))
    assert certificates_of_field(plain) == chain
    assert certificates_of_field(quote(plain, safe=left).encode()) == chain
    assert certificates_of_field(", ".join(map(byte_sequence, chain)).encode()) == chain
    assert presented_of_body(b"".join(chain)).chain == chain


@given(chains, st.permutations(["Cert", "Chain", "Subject", "URI"]))
def test_the_pairs_of_envoy_may_come_in_any_order(chain: tuple[bytes, ...], order: list[str]) -> None:
    pairs = {
        "Cert": f'"{quote(pem(chain[:1]), safe="")}"',
        "Chain": f'"{quote(pem(chain), safe="")}"',
        "Subject": '"CN=\\"a;b,c\\""',
        "URI": "",
    }
    assert certificates_of_forwarded(";".join(f"{key}={pairs[key]}" for key in order).encode()) == chain


@given(st.binary(max_size=300))
def test_escapes_are_undone_octet_by_octet(octets: bytes) -> None:
    assert percent_decoded(quote(octets, safe="").encode()) == octets


noise = st.one_of(
    st.binary(max_size=400),
    st.text(alphabet='-BEGINCRTFAD %0A2+/=:;,"\\\n\t', max_size=200).map(str.encode),
    st.builds(flipped, st.sampled_from(POOL), st.integers(0, 250), st.integers(1, 255)),
)


@given(noise)
def test_any_octets_are_certificates_or_an_error_of_ours(octets: bytes) -> None:
    for read in (certificates_of_field, certificates_of_forwarded, presented_of_body):
        for value in (octets, b64encode(octets), b'Cert="' + octets + b'"'):
            try:
                read(value)
            except DnsboundError:
                continue
