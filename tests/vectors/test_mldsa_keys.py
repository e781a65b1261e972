"""ML-DSA private keys as OpenSSL writes them (RFC 9881 section 6): a seed, a seed with its expansion, or that alone."""

import re
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import private_key_from_der, private_key_from_pem
from dnsbound.credential.mldsa_keys import private_key_of_both_forms
from dnsbound.errors import Malformed

HERE = Path(__file__).parent
BOTH = (HERE / "openssl-ml-dsa-65-both.pem").read_bytes()
SEED = (HERE / "openssl-ml-dsa-65-seed.pem").read_bytes()
EXPANDED = (HERE / "openssl-ml-dsa-44-expanded.pem").read_bytes()
PUBLIC = load_pem_public_key((HERE / "openssl-ml-dsa-65-public.pem").read_bytes())


def der_of(pem: bytes) -> bytes:
    return b64decode(b"".join(pem.splitlines()[1:-1]))


def pem_of(der: bytes) -> bytes:
    return b"-----BEGIN PRIVATE KEY-----\n" + b64encode(der) + b"\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("pem", [SEED, BOTH])
def test_seed_and_both_forms_are_the_same_key(pem: bytes) -> None:
    assert private_key_from_pem(pem).public_key() == PUBLIC
    assert private_key_from_der(der_of(pem)).public_key() == PUBLIC


def test_what_was_read_from_both_forms_is_written_as_its_seed() -> None:
    made = Credential.from_pem(BOTH, name="car54._device.cars.example")
    assert made.private_key_der() == der_of(SEED)
    assert len(made.private_key_der()) == 54
    assert Credential.from_pem(made.to_pem()) == made


def test_an_expanded_key_alone_says_what_is_missing() -> None:
    for read in (lambda: private_key_from_pem(EXPANDED), lambda: private_key_from_der(der_of(EXPANDED))):
        with pytest.raises(Malformed, match="without the seed"):
            read()


@pytest.mark.parametrize("place", [26, 60, 61 + 70])
def test_two_halves_that_are_not_one_key_are_refused(place: int) -> None:
    """An octet of the seed, of rho, and of the public key's hash."""
    der = bytearray(der_of(BOTH))
    der[place + 8] ^= 1
    with pytest.raises(Malformed, match="two different keys"):
        private_key_from_der(bytes(der))


def test_every_damaged_octet_of_the_structure_is_malformed_or_the_key() -> None:
    der = der_of(BOTH)
    for place in range(36):
        damaged = bytearray(der)
        damaged[place] ^= 0x41
        try:
            key = private_key_of_both_forms(bytes(damaged))
        except Malformed:
            continue
        assert key is None or key.public_key() == PUBLIC
    for end in range(0, len(der), 97):
        assert private_key_of_both_forms(der[:end]) is None


def test_an_armoured_text_that_is_no_base64_is_malformed() -> None:
    broken = re.sub(rb"\n(..)", rb"\n=\1", BOTH, count=1)
    for pem in (broken, pem_of(b"")):
        with pytest.raises(Malformed):
            private_key_from_pem(pem)
