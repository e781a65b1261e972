"""Signature algorithms of objects: strict forms, keys that fit, and messages that are signed as they come."""

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.keys import KeyAlgorithm, PrivateKey, generate_private_key, spki_der
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.credential.signer import LocalSigner
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects import algorithms
from dnsbound.objects.algorithms import ALGORITHMS, COSE_ALGORITHMS, KeyKind, ObjectAlgorithm
from dnsbound.objects.digesting import Digesting, can_digest

CURVES = {KeyKind.P256: ec.SECP256R1(), KeyKind.P384: ec.SECP384R1(), KeyKind.P521: ec.SECP521R1()}
MADE = {"P-256": "p256", "Ed25519": "ed25519", "RSA": "rsa2048"}


def _key(kind: KeyKind) -> PrivateKey:
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind])
    return generate_private_key(KeyAlgorithm(MADE.get(kind, kind.value.lower())))


SIGNERS = {kind: LocalSigner(_key(kind)) for kind in KeyKind}
MESSAGE = b"a report " * 1000
each = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda row: row.jose)


@each
def test_a_signature_has_its_form_and_verifies(algorithm: ObjectAlgorithm) -> None:
    signer = SIGNERS[algorithm.kind]
    signature = algorithms.sign(signer, algorithm, MESSAGE)
    assert len(signature) == (algorithm.signature_octets or 256)
    algorithms.verify(verifying_key(signer.spki), algorithm, signature, MESSAGE)


@each
def test_nothing_else_verifies(algorithm: ObjectAlgorithm) -> None:
    signer = SIGNERS[algorithm.kind]
    key = verifying_key(signer.spki)
    signature = algorithms.sign(signer, algorithm, MESSAGE)
    changed = bytes([signature[0] ^ 1]) + signature[1:]
    for given, message in (
        (signature, MESSAGE + b"."),
        (changed, MESSAGE),
        (signature[:-1], MESSAGE),
        (signature + b"\0", MESSAGE),
        (b"\0" + signature, MESSAGE),
        (b"", MESSAGE),
        (bytes(len(signature)), MESSAGE),
        (b"\xff" * len(signature), MESSAGE),
    ):
        with pytest.raises(BadSignature):
            algorithms.verify(key, algorithm, given, message)


@each
@pytest.mark.parametrize("kind", KeyKind)
def test_an_algorithm_belongs_to_one_kind_of_key(algorithm: ObjectAlgorithm, kind: KeyKind) -> None:
    if kind is algorithm.kind:
        assert algorithm in algorithms.algorithms_of(SIGNERS[kind].spki)
        return
    with pytest.raises(BadSignature):
        algorithms.verify(verifying_key(SIGNERS[kind].spki), algorithm, b"", MESSAGE)
    with pytest.raises(Misuse):
        algorithms.choose_algorithm(SIGNERS[kind], algorithm.jose)
    if can_digest(algorithm):
        with pytest.raises(BadSignature):
            Digesting(algorithm, SIGNERS[kind].spki)


@pytest.mark.parametrize("kind", CURVES)
def test_r_and_s_are_from_1_to_n_minus_1(kind: KeyKind) -> None:
    algorithm = next(row for row in ALGORITHMS.values() if row.kind is kind)
    signer = SIGNERS[kind]
    assert algorithm.signature_octets is not None
    half = algorithm.signature_octets // 2
    order = algorithms._ORDERS[kind]
    good = algorithms.sign(signer, algorithm, MESSAGE)
    s = int.from_bytes(good[half:], "big")
    flipped = good[:half] + (order - s).to_bytes(half, "big")
    algorithms.verify(verifying_key(signer.spki), algorithm, flipped, MESSAGE)  # also a signature: s and n - s
    for bad in (0, order, order + 1):
        for signature in (
            bad.to_bytes(half, "big") + good[half:],
            good[:half] + bad.to_bytes(half, "big"),
        ):
            with pytest.raises(BadSignature, match="range"):
                algorithms.der_of_raw(algorithm, signature)
    assert decode_dss_signature(algorithms.der_of_raw(algorithm, (1).to_bytes(half, "big") * 2)) == (1, 1)


@each
def test_a_message_in_pieces_is_the_same_message(algorithm: ObjectAlgorithm) -> None:
    signer = SIGNERS[algorithm.kind]
    key = verifying_key(signer.spki)
    if not can_digest(algorithm):
        with pytest.raises(Misuse):
            Digesting(algorithm, signer.spki)
        return

    def digested(message: bytes = MESSAGE) -> Digesting:
        made = Digesting(algorithm, signer.spki)
        for start in range(0, len(message), 1000):
            made.update(memoryview(message)[start : start + 1000])
        return made

    algorithms.verify(key, algorithm, digested().sign(signer), MESSAGE)
    whole = algorithms.sign(signer, algorithm, MESSAGE)
    digested().verify(key, whole)
    for given, message in ((whole, MESSAGE + b"."), (whole[:-1], MESSAGE), (bytes(len(whole)), MESSAGE)):
        with pytest.raises(BadSignature):
            digested(message).verify(key, given)
    other = LocalSigner(_key(algorithm.kind))
    with pytest.raises(Misuse):
        digested().sign(other)
    with pytest.raises(BadSignature):
        digested().verify(verifying_key(other.spki), whole)


def test_a_key_elsewhere_signs_whole_messages() -> None:
    local = SIGNERS[KeyKind.P256]
    elsewhere = SimpleNamespace(spki=local.spki, schemes=local.schemes, needs_human=False, sign=local.sign)
    algorithm = algorithms.choose_algorithm(elsewhere)
    algorithms.verify(verifying_key(local.spki), algorithm, algorithms.sign(elsewhere, algorithm, MESSAGE), MESSAGE)
    with pytest.raises(Misuse):
        Digesting(algorithm, local.spki).sign(elsewhere)
    rsa_key = SIGNERS[KeyKind.RSA]
    elsewhere = SimpleNamespace(spki=rsa_key.spki, schemes=rsa_key.schemes, needs_human=False, sign=rsa_key.sign)
    assert algorithms.choose_algorithm(elsewhere).jose == "PS256"
    with pytest.raises(Misuse):
        algorithms.sign(elsewhere, ALGORITHMS["RS256"], MESSAGE)


def test_keys_that_sign_nothing() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    huge = rsa.RSAPublicNumbers(65537, (1 << 8200) + 1).public_key()
    odd = ec.generate_private_key(ec.SECP256K1()).public_key()
    for key in (weak, huge, odd):
        with pytest.raises(BadSignature):
            algorithms.algorithms_of(spki_der(key))
    other = ed448.Ed448PrivateKey.generate().public_key()
    with pytest.raises(Malformed):
        algorithms.algorithms_of(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_every_algorithm_is_found_by_its_names() -> None:
    assert len(COSE_ALGORITHMS) == sum(len(row.cose) for row in ALGORITHMS.values())
    for row in ALGORITHMS.values():
        assert algorithms.algorithm_of_jose(row.jose) is row
        assert all(algorithms.algorithm_of_cose(number) is row for number in row.cose)
    for name in ("none", "None", "HS256", "RS512", "ES256K", "es256", ""):
        with pytest.raises(Malformed):
            algorithms.algorithm_of_jose(name)
    for number in (0, 5, -16, -47):
        with pytest.raises(Malformed):
            algorithms.algorithm_of_cose(number)
