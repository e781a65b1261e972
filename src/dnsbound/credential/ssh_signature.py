"""Signatures in SSH's form, by keys that a TLSA record can name: made by a `Signer`, checked by a public key.

The blob is the name of the algorithm and the signature's octets. Strict: an RSA signature is as long as its modulus;
the numbers of an ECDSA signature are positive and in their one form; nothing follows. `ssh-rsa`, by SHA-1, signs
nothing (RFC 8332 section 1).
Sections: RFC 4253 section 6.6, RFC 5656 section 3.1.2, RFC 8332 section 3, RFC 8709 section 6; RFC 4251 section 5.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dnsbound.credential.keys import MAXIMUM_RSA_BITS, KeyFacts, PublicKey, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import SignatureScheme
from dnsbound.wire import Reader, prefixed

RSA_SHA2_256: Final = "rsa-sha2-256"
RSA_SHA2_512: Final = "rsa-sha2-512"
_RSA: Final = {RSA_SHA2_256: hashes.SHA256(), RSA_SHA2_512: hashes.SHA512()}
_ECDSA: Final = {
    "ecdsa-sha2-nistp256": (hashes.SHA256(), SignatureScheme.ECDSA_SECP256R1_SHA256),
    "ecdsa-sha2-nistp384": (hashes.SHA384(), SignatureScheme.ECDSA_SECP384R1_SHA384),
    "ecdsa-sha2-nistp521": (hashes.SHA512(), SignatureScheme.ECDSA_SECP521R1_SHA512),
}
_ED25519: Final = "ssh-ed25519"
_NUMBER_OCTETS: Final = 67
"""Of P-521, and the zero that keeps it positive."""


def string(octets: bytes) -> bytes:
    """RFC 4251 section 5: the octets behind their length."""
    return prefixed(octets, 4)


def algorithms_of(key: SshKey) -> tuple[str, ...]:
    """What signs with the key, best first."""
    return (RSA_SHA2_512, RSA_SHA2_256) if key.kind == "ssh-rsa" else (key.kind,)


def sign(signer: Signer, message: bytes, algorithm: str | None = None) -> bytes:
    """The blob over the message (not its digest). algorithm: the key's best without it. Malformed for a key that SSH
    has not; Misuse for an algorithm of another key, and for RSA in a token, which signs PSS alone."""
    algorithms = algorithms_of(SshKey.from_spki(signer.spki))
    algorithm = algorithm or algorithms[0]
    if algorithm not in algorithms:
        raise Misuse(f"this key does not sign with {algorithm}")
    if algorithm in _RSA:
        if not isinstance(signer, LocalSigner) or not isinstance(signer.key, rsa.RSAPrivateKey):
            raise Misuse("SSH signs PKCS #1 with RSA: a key that is elsewhere does not do that here")
        octets = signer.key.sign(message, padding.PKCS1v15(), _RSA[algorithm])
    elif algorithm in _ECDSA:
        numbers = decode_dss_signature(signer.sign(message, _ECDSA[algorithm][1]))
        octets = b"".join(_mpint(number) for number in numbers)
    else:
        octets = signer.sign(message, SignatureScheme.ED25519)
    return string(algorithm.encode("ascii")) + string(octets)


def verify(key: PublicKey, blob: bytes, message: bytes) -> str:
    """The algorithm of the signature, which is by the key and of the message. BadSignature otherwise; Malformed for
    what is no signature blob."""
    algorithm, octets = parts_of(blob)
    weak = KeyFacts.of(key, b"").weak_because
    if weak is not None:
        raise BadSignature(weak)
    try:
        _verify(key, algorithm, octets, message)
    except InvalidSignature:
        raise BadSignature("the signature does not verify") from None
    return algorithm


def parts_of(blob: bytes) -> tuple[str, bytes]:
    """Algorithm and octets; Malformed for what is no signature blob, or of an algorithm that is not used here."""
    reader = Reader(blob, "SSH signature")
    name, octets = reader.prefixed(4), reader.prefixed(4)
    reader.finish()
    algorithm = name[:64].decode("ascii", "replace")
    if algorithm not in _RSA and algorithm not in _ECDSA and algorithm != _ED25519:
        raise Malformed(f"SSH signature: {algorithm!r} is no algorithm of a key that a TLSA record can name")
    return algorithm, octets


def public_key(key: SshKey) -> PublicKey:
    """The same key, to verify with."""
    return public_key_from_spki(key.spki)


def _verify(key: PublicKey, algorithm: str, octets: bytes, message: bytes) -> None:
    match key:
        case rsa.RSAPublicKey() if algorithm in _RSA and key.key_size <= MAXIMUM_RSA_BITS:
            if len(octets) != (key.key_size + 7) // 8:
                raise BadSignature("the signature is not as long as the modulus")
            key.verify(octets, message, padding.PKCS1v15(), _RSA[algorithm])
        case ec.EllipticCurvePublicKey() if algorithm in _ECDSA and algorithm.endswith(_CURVES[key.curve.name]):
            key.verify(encode_dss_signature(*_numbers(octets)), message, ec.ECDSA(_ECDSA[algorithm][0]))
        case ed25519.Ed25519PublicKey() if algorithm == _ED25519:
            key.verify(octets, message)
        case _:
            raise BadSignature(f"this key does not sign with {algorithm}")


_CURVES: Final = {"secp256r1": "nistp256", "secp384r1": "nistp384", "secp521r1": "nistp521"}


def _mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _numbers(octets: bytes) -> tuple[int, int]:
    reader = Reader(octets, "ECDSA signature of SSH")
    r, s = _number(reader.prefixed(4)), _number(reader.prefixed(4))
    reader.finish()
    return r, s


def _number(octets: bytes) -> int:
    """RFC 4251 section 5, mpint: the shortest form, here of a positive number."""
    if not octets or len(octets) > _NUMBER_OCTETS or octets[0] >= 0x80:
        raise Malformed("ECDSA signature of SSH: a number that is not positive, or too long")
    if octets[0] == 0 and (len(octets) == 1 or octets[1] < 0x80):
        raise Malformed("ECDSA signature of SSH: a number that is zero, or not in its shortest form")
    return int.from_bytes(octets, "big")
