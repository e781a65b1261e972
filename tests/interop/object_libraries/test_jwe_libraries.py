"""JWE with jwcrypto and joserfc, both ways: each kind of key, each form, each content encryption."""

import json
import warnings
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk

from dnsbound.credential.encryption_keys import DecryptionKey, OpeningKey
from dnsbound.names import ClientName
from dnsbound.objects.encryption import Recipient
from dnsbound.objects.jose import base64url, jwe

PLAIN = b"position 48.137 11.575"
NAMES = [ClientName.parse("report.gov.example"), ClientName.parse("report.city.example")]
KEYS: dict[str, OpeningKey] = {
    "x25519": x25519.X25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}
ALGORITHMS = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW", "RSA-OAEP-256"]
ENCRYPTIONS = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"]
REGISTRY = joserfc_jwe.JWERegistry(algorithms=[*ALGORITHMS, *ENCRYPTIONS])


def held(kind: str, name: ClientName = NAMES[0]) -> DecryptionKey:
    return DecryptionKey(name=name, private_key=KEYS[kind])


def pem(kind: str) -> bytes:
    return KEYS[kind].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(kind: str) -> bytes:
    return KEYS[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwcrypto_key(octets: bytes) -> jwcrypto_jwk.JWK:
    return jwcrypto_jwk.JWK.from_pem(octets)


def joserfc_key(kind: str, octets: bytes) -> ECKey | OKPKey | RSAKey:
    return {"rsa": RSAKey, "x25519": OKPKey}.get(kind, ECKey).import_key(octets)


def opened_by_jwcrypto(token: str, kind: str) -> bytes:
    message = jwcrypto_jwe.JWE(algs=[*ALGORITHMS, *ENCRYPTIONS])
    message.deserialize(token, jwcrypto_key(pem(kind)))
    payload: bytes = message.payload
    return payload


def opened_by_joserfc(token: str, kind: str) -> bytes:
    key = joserfc_key(kind, pem(kind))
    if token.startswith("{"):
        plaintext = joserfc_jwe.decrypt_json(json.loads(token), key, registry=REGISTRY).plaintext
    else:
        plaintext = joserfc_jwe.decrypt_compact(token, key, registry=REGISTRY).plaintext
    assert plaintext is not None
    return plaintext


def by_jwcrypto(kind: str, header: dict[str, str]) -> str:
    message = jwcrypto_jwe.JWE(PLAIN, protected=json.dumps(header), algs=[header["alg"], header["enc"]])
    message.add_recipient(jwcrypto_key(public_pem(kind)))
    return str(message.serialize(compact=True))


def by_joserfc(kind: str, header: dict[str, str]) -> str:
    return joserfc_jwe.encrypt_compact(dict(header), PLAIN, joserfc_key(kind, public_pem(kind)), registry=REGISTRY)


OPENERS = [opened_by_jwcrypto, opened_by_joserfc]
MAKERS = [by_jwcrypto, by_joserfc]


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("kind", KEYS)
def test_je_01_they_open_ours(opener: Callable[[str, str], bytes], kind: str) -> None:
    key = held(kind)
    token = jwe.encrypt(PLAIN, [Recipient(name=key.name, spki=key.spki)], sender=NAMES[1])
    assert opener(token, kind) == PLAIN


def test_je_01_jwcrypto_opens_ours_to_several() -> None:
    """joserfc takes one key for all recipients of a message, and fails at those of another kind."""
    first, second = held("x25519"), held("p256", NAMES[1])
    recipients = [Recipient(name=key.name, spki=key.spki) for key in (first, second)]
    token = jwe.encrypt(PLAIN, recipients)
    assert opened_by_jwcrypto(token, "x25519") == PLAIN
    assert opened_by_jwcrypto(token, "p256") == PLAIN
    assert jwe.decrypt(token, second).plaintext == PLAIN


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("encryption", ENCRYPTIONS)
@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *((kind, "ECDH-ES") for kind in KEYS if kind != "rsa"),
        *(("p256", algorithm) for algorithm in ALGORITHMS[1:4]),
        ("x25519", "ECDH-ES+A256KW"),
        ("rsa", "RSA-OAEP-256"),
    ],
)
def test_je_01_we_open_theirs(
    maker: Callable[[str, dict[str, str]], str], encryption: str, kind: str, algorithm: str
) -> None:
    header = {"alg": algorithm, "enc": encryption, "kid": NAMES[0].text}
    if algorithm != "RSA-OAEP-256":
        header |= {"apv": base64url.encode(NAMES[0].to_wire()).decode()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # opinions of the libraries about algorithms
        token = maker(kind, header)
    opened = jwe.decrypt(token, held(kind))
    assert (opened.plaintext, opened.algorithm, opened.encryption) == (PLAIN, algorithm, encryption)


def test_je_01_we_open_jwcryptos_general_form() -> None:
    message = jwcrypto_jwe.JWE(PLAIN, protected='{ "enc":\n"A256GCM" }')
    for kind, name in zip(("x25519", "p256"), NAMES, strict=True):
        header = json.dumps({"alg": "ECDH-ES+A256KW", "kid": name.text})
        message.add_recipient(jwcrypto_key(public_pem(kind)), header=header)
    token = message.serialize()
    assert jwe.decrypt(token, held("x25519", NAMES[0])).plaintext == PLAIN
    assert jwe.decrypt(token, held("p256", NAMES[1])).plaintext == PLAIN
