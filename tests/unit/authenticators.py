"""Exported authenticators computed a second time, from the formulas of RFC 9261, and what the tests build them of.

Nothing of dnsbound's own computation is used here: hashlib, hmac and cryptography alone.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

CLIENTID = 0xFF5A
NAME = b"car54._device.cars.example"
FINISHED, CERTIFICATE, CERTIFICATE_VERIFY, REQUEST, CLIENT_REQUEST = 20, 11, 15, 13, 17
ECDSA_P256, ED25519, RSA_PSS, RSA_PKCS1, MLDSA44, MLDSA65 = 0x0403, 0x0807, 0x0804, 0x0401, 0x0904, 0x0905


def vector(octets: bytes, size: int) -> bytes:
    return len(octets).to_bytes(size, "big") + octets


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def extension(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + vector(data, 2)


def schemes(*numbers: int) -> bytes:
    return extension(13, vector(b"".join(number.to_bytes(2, "big") for number in numbers), 2))


def request(context: bytes, *extensions: bytes, kind: int = REQUEST) -> bytes:
    return handshake(kind, vector(context, 1) + vector(b"".join(extensions), 2))


def certificate(context: bytes, *entries: tuple[bytes, bytes]) -> bytes:
    """entries: DER and extension block without its length."""
    listed = b"".join(vector(der, 3) + vector(extensions, 2) for der, extensions in entries)
    return handshake(CERTIFICATE, vector(context, 1) + vector(listed, 3))


def verify(scheme: int, signature: bytes) -> bytes:
    return handshake(CERTIFICATE_VERIFY, scheme.to_bytes(2, "big") + vector(signature, 2))


@dataclass(frozen=True)
class Formulas:
    """RFC 9261 section 5.2 for one sender. context, key: the two exported values. digest: hashlib's name."""

    context: bytes
    key: bytes
    digest: str = "sha256"

    def hash(self, *octets: bytes) -> bytes:
        return hashlib.new(self.digest, self.context + b"".join(octets)).digest()

    def to_sign(self, request: bytes, certificate: bytes) -> bytes:
        return b" " * 64 + b"Exported Authenticator" + b"\x00" + self.hash(request, certificate)

    def finished(self, *octets: bytes) -> bytes:
        return handshake(FINISHED, hmac.new(self.key, self.hash(*octets), self.digest).digest())

    def sealed(self, request: bytes, certificate: bytes, verify: bytes) -> bytes:
        """The whole authenticator of its parts, right or wrong as they may be."""
        return certificate + verify + self.finished(request, certificate, verify)

    def authenticator(self, request: bytes, certificate: bytes, key: object) -> bytes:
        content = self.to_sign(request, certificate)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            signed = verify(ED25519, key.sign(content))
        elif isinstance(key, mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey):
            scheme = MLDSA44 if isinstance(key, mldsa.MLDSA44PrivateKey) else MLDSA65
            signed = verify(scheme, key.sign(content))
        elif isinstance(key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            signed = verify(RSA_PSS, key.sign(content, pss, hashes.SHA256()))
        else:
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            signed = verify(ECDSA_P256, key.sign(content, ec.ECDSA(hashes.SHA256())))
        return self.sealed(request, certificate, signed)

    def check(self, request: bytes, authenticator: bytes) -> tuple[bytes, x509.Certificate]:
        """Take a full authenticator apart and check it; the context in it and the leaf."""
        parts, rest = [], authenticator
        while rest:
            size = 4 + int.from_bytes(rest[1:4], "big")
            parts.append(rest[:size])
            rest = rest[size:]
        shown, signed, finished = parts
        assert (shown[0], signed[0], finished[0]) == (CERTIFICATE, CERTIFICATE_VERIFY, FINISHED)
        assert finished == self.finished(request, shown, signed)
        length = shown[4]
        context, entries = shown[5 : 5 + length], shown[5 + length + 3 :]
        leaf = x509.load_der_x509_certificate(entries[3 : 3 + int.from_bytes(entries[:3], "big")])
        scheme, signature = int.from_bytes(signed[4:6], "big"), signed[8:]
        assert int.from_bytes(signed[6:8], "big") == len(signature)
        content, key = self.to_sign(request, shown), leaf.public_key()
        if scheme == ED25519:
            assert isinstance(key, ed25519.Ed25519PublicKey)
            key.verify(signature, content)
        elif scheme in {MLDSA44, MLDSA65}:
            assert isinstance(key, mldsa.MLDSA44PublicKey if scheme == MLDSA44 else mldsa.MLDSA65PublicKey)
            key.verify(signature, content)
        elif scheme == RSA_PSS:
            assert isinstance(key, rsa.RSAPublicKey)
            key.verify(signature, content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        else:
            assert scheme == ECDSA_P256
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        return context, leaf
