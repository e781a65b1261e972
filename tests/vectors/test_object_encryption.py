"""Published examples of COSE and JWE: the octets of the documents, read by our code."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.objects.algorithms import algorithm_of_cose, verify
from dnsbound.objects.cose.cose_encrypt import decrypt
from dnsbound.objects.cose.cose_sign1 import Sign1, to_be_signed
from dnsbound.objects.cose.cwt import CwtClaims
from dnsbound.objects.jose import base64url, jwe

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "object-encryption.json").read_text())
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}


def titled(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["title"].split(":")[0] for vector in vectors])


def number(text: str) -> int:
    return int.from_bytes(base64url.decode(text.encode(), "number"), "big")


def public(vector: dict[str, Any], curve: str = "P-256") -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicNumbers(number(vector["x"]), number(vector["y"]), CURVES[curve]).public_key()


def private(vector: dict[str, Any], curve: str = "P-256") -> DecryptionKey:
    """The documents' names are mail addresses, which no record stands at: the value is made by hand."""
    key = ec.EllipticCurvePrivateNumbers(number(vector["d"]), public(vector, curve).public_numbers()).private_key()
    return DecryptionKey(name=ClientName(vector["name"], vector["name"]), private_key=key)


@titled(VECTORS["cose_sign1"])
def test_cose_sign1(vector: dict[str, Any]) -> None:
    message = Sign1.from_wire(bytes.fromhex(vector["message"]))
    external = bytes.fromhex(vector["external"])
    assert message.payload is not None
    signed = to_be_signed(message.headers.protected_octets, external, message.payload)
    assert signed.hex().upper() == vector["to_be_signed"]
    key = public(VECTORS["cose_sign1_key"])
    if not vector["algorithm_is_protected"]:
        with pytest.raises(Malformed):
            _ = message.algorithm
        verify(key, algorithm_of_cose(-7), message.signature, signed)
    elif vector["holds"]:
        message.check_with(message.payload, external)(key)
    else:
        with pytest.raises(BadSignature):
            message.check_with(message.payload, external)(key)


def test_cwt() -> None:
    vector = VECTORS["cwt"]
    message = Sign1.from_wire(bytes.fromhex(vector["message"]))
    numbers = ec.EllipticCurvePublicNumbers(int(vector["x"], 16), int(vector["y"], 16), ec.SECP256R1())
    assert message.payload is not None
    message.check_with(message.payload, b"")(numbers.public_key())
    with pytest.raises(Malformed):  # its issuer is a CoAP URI, which no record stands at
        CwtClaims.from_wire(message.payload)


@titled(VECTORS["cose_encrypt"])
def test_cose_encrypt(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["message"])
    opened = decrypt(octets, private(VECTORS["cose_encrypt_recipient"]))
    assert opened.plaintext.decode() == VECTORS["cose_plaintext"]
    assert (opened.algorithm, opened.encryption, opened.stated_sender) == (vector["algorithm"], "A128GCM", None)
    with pytest.raises(Refused) as caught:
        decrypt(octets, DecryptionKey.generate("gov.example"))
    assert caught.value.reason is Reason.WRONG_RECIPIENT


@titled(VECTORS["jwe"])
def test_jwe(vector: dict[str, Any]) -> None:
    opened = jwe.decrypt(vector["token"], private(vector, vector["crv"]))
    assert opened.plaintext.decode() == VECTORS["jwe_plaintext"]
    assert (opened.algorithm, opened.encryption) == (vector["algorithm"], vector["encryption"])
