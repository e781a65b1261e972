"""COSE with cwt, both ways: signatures, CWTs, and encryption to a key; and what cwt accepts and we refuse."""

import time
from typing import Any

import cbor2
import cwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.credential.keys import KeyAlgorithm, private_key_to_pem, public_key_from_spki
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.objects import cose
from dnsbound.objects.cbor import to_cbor
from unit.claims import NAME, NOW

PAYLOAD = b"position 48.137 11.575"
KID = NAME.encode()
GOV = ClientName.parse("report.gov.example")
KINDS = {
    KeyAlgorithm.P256: ("ES256", -7),
    KeyAlgorithm.ED25519: ("EdDSA", -8),
    KeyAlgorithm.RSA2048: ("PS256", -37),
}
CREDENTIALS = {kind: Credential.generate(NAME, now=NOW, algorithm=kind) for kind in KINDS}


def their_private(kind: KeyAlgorithm) -> Any:
    credential = CREDENTIALS[kind]
    assert credential.private_key is not None
    return cwt.COSEKey.from_pem(private_key_to_pem(credential.private_key), alg=KINDS[kind][0], kid=KID)


def their_public(kind: KeyAlgorithm) -> Any:
    key = public_key_from_spki(CREDENTIALS[kind].spki)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, alg=KINDS[kind][0], kid=KID)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bare", [True, False])
def test_cb_01_cwt_reads_ours(kind: KeyAlgorithm, bare: bool) -> None:
    credential = CREDENTIALS[kind].as_raw_key() if bare else CREDENTIALS[kind]
    octets = cose.sign1(PAYLOAD, credential, content_type=50, external_aad=b"x")
    assert cwt.COSE.new().decode(octets, their_public(kind), external_aad=b"x") == PAYLOAD
    detached = cose.sign1(PAYLOAD, credential, detached=True)
    assert cwt.COSE.new().decode(detached, their_public(kind), detached_payload=PAYLOAD) == PAYLOAD


@pytest.mark.parametrize("kind", KINDS)
def test_cb_01_we_read_theirs(kind: KeyAlgorithm) -> None:
    octets = cwt.COSE.new().encode_and_sign(
        PAYLOAD, their_private(kind), protected={1: KINDS[kind][1], 4: KID}, external_aad=b"x"
    )
    assert isinstance(octets, bytes)
    signed = cose.parse_sign1(octets, typ=None, external_aad=b"x")
    signed.check(public_key_from_spki(CREDENTIALS[kind].spki))
    assert (signed.name.text, signed.payload) == (NAME, PAYLOAD)


def test_cb_13_cwt_reads_our_tokens() -> None:
    kind = KeyAlgorithm.P256
    ends = int(time.time()) + 60
    claims = cose.CwtClaims(issuer=ClientName.parse(NAME), audience=(GOV.text,), expires=ends, identifier=b"\1")
    octets = cose.sign_cwt(claims, CREDENTIALS[kind].as_raw_key(), cwt_tag=True)
    theirs = cwt.decode(octets, their_public(kind))
    assert isinstance(theirs, dict)
    assert (theirs[1], theirs[3], theirs[4]) == (NAME, GOV.text, ends)


def test_cb_13_we_read_their_tokens() -> None:
    kind = KeyAlgorithm.P256
    claims = {1: NAME, 3: GOV.text, 4: int(NOW) + 60, 7: b"\1"}
    octets = cwt.COSE.new().encode_and_sign(cbor2.dumps(claims), their_private(kind), protected={1: -7, 4: KID})
    assert isinstance(octets, bytes)
    signed = cose.parse_cwt(octets, now=NOW, audience=GOV.text, typ=None)
    signed.check(public_key_from_spki(CREDENTIALS[kind].spki))
    assert signed.content.claims.identifier == b"\1"


ECDH = {"p256": ec.generate_private_key(ec.SECP256R1()), "x25519": x25519.X25519PrivateKey.generate()}


def context(algorithm: int, content: int, bits: int, party_v: bytes | None) -> list[Any]:
    """The COSE_KDF_Context as cwt wants it from its caller."""
    headers: dict[int, Any] = {1: algorithm} | ({} if party_v is None else {-24: party_v})
    return [content, [None, None, None], [party_v, None, None], [bits, to_cbor(headers)]]


def ecdh_private(kind: str, algorithm: str) -> Any:
    pem = ECDH[kind].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return cwt.COSEKey.from_pem(pem, alg=algorithm, kid=GOV.to_wire())


def ecdh_public(kind: str, algorithm: str) -> Any:
    pem = ECDH[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, alg=algorithm, kid=GOV.to_wire())


def held(kind: str) -> DecryptionKey:
    return DecryptionKey(name=GOV, private_key=ECDH[kind])


@pytest.mark.parametrize("kind", ECDH)
def test_cb_14_cwt_opens_ours(kind: str) -> None:
    key = held(kind)
    octets = cose.encrypt(PAYLOAD, [cose.Recipient(name=GOV, spki=key.spki)])
    their_key = ecdh_private(kind, "ECDH-ES+HKDF-256")
    assert cwt.COSE.new().decode(octets, their_key, context=context(-25, 3, 256, GOV.to_wire())) == PAYLOAD


@pytest.mark.parametrize(
    ("kind", "algorithm", "number", "content"),
    [
        ("p256", "ECDH-ES+HKDF-256", -25, (3, 256)),
        ("p256", "ECDH-ES+A256KW", -31, (-5, 256)),
        ("p256", "ECDH-ES+A128KW", -29, (-3, 128)),
    ],
)
def test_cb_14_we_open_theirs(kind: str, algorithm: str, number: int, content: tuple[int, int]) -> None:
    """X25519 is not among them: cwt 3.3 makes no ephemeral key of that kind, and opens ours."""
    recipient = cwt.Recipient.new(
        protected={1: number},
        unprotected={4: GOV.to_wire()},
        recipient_key=ecdh_public(kind, algorithm),
        context=context(number, *content, party_v=None),
    )
    content_key = cwt.COSEKey.generate_symmetric_key(alg="A256GCM")
    keyed = {} if number == -25 else {"key": content_key}
    octets = cwt.COSE.new(alg_auto_inclusion=True).encode_and_encrypt(
        PAYLOAD, protected={1: 3}, unprotected={5: bytes(range(12))}, recipients=[recipient], **keyed
    )
    assert isinstance(octets, bytes)
    opened = cose.decrypt(octets, held(kind))
    assert (opened.plaintext, opened.algorithm) == (PAYLOAD, algorithm)


def test_cb_14_with_a_key_that_both_have() -> None:
    key = bytes(range(32))
    theirs = cwt.COSEKey.from_symmetric_key(key, alg="A256GCM")
    assert cwt.COSE.new().decode(cose.encrypt0(PAYLOAD, key), theirs) == PAYLOAD
    octets = cwt.COSE.new().encode_and_encrypt(PAYLOAD, theirs, protected={1: 3}, unprotected={5: bytes(range(12))})
    assert isinstance(octets, bytes)
    assert cose.decrypt0(octets, key) == PAYLOAD


def resigned(protected: dict[int, Any], unprotected: dict[int, Any] | None = None) -> bytes:
    """A message with these headers that cwt itself takes."""
    octets = cwt.COSE.new().encode_and_sign(PAYLOAD, their_private(KeyAlgorithm.P256), protected, unprotected or {})
    assert isinstance(octets, bytes)
    return octets


def with_unprotected(octets: bytes, unprotected: dict[int, Any]) -> bytes:
    item = cbor2.loads(octets)
    return cbor2.dumps(cbor2.CBORTag(18, [item.value[0], unprotected, *item.value[2:]]))


@pytest.mark.parametrize(
    "octets",
    [
        resigned({1: -7, 4: KID}) + b"\0",
        resigned({4: KID}, {1: -7}),
        resigned({1: -7, 4: KID, 2: [70000], 70000: 1}),
        with_unprotected(resigned({1: -7, 4: KID}), {4: KID}),
        resigned({1: -7}, {4: KID}),
    ],
    ids=["trailing", "unprotected-alg", "critical", "both-buckets", "unprotected-kid"],
)
def test_cb_06_what_cwt_takes_is_refused(octets: bytes) -> None:
    """Trailing octets, an algorithm that is not protected, a critical header that nobody knows, a label in both
    buckets, a signer named where nothing protects it."""
    assert cwt.COSE.new().decode(octets, their_public(KeyAlgorithm.P256)) == PAYLOAD
    with pytest.raises(Malformed):
        cose.parse_sign1(octets, typ=None)


def test_their_decoder_reads_our_encoding() -> None:
    octets = cose.sign1(PAYLOAD, CREDENTIALS[KeyAlgorithm.P256], claims={1: NAME, 3: [GOV.text]})
    assert cbor2.loads(cbor2.loads(octets).value[0])[15] == {1: NAME, 3: [GOV.text]}
