"""The seam where a private key signs, so that the key need not be in this process.

`Signer` is all that may be asked of a key that never leaves its hardware. `LocalSigner` is the one for keys held in
memory. Scheme numbers are those of TLS (RFC 9846 section 4.3.3).
"""

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from dnsbound.credential.keys import PrivateKey, PublicKey, spki_der
from dnsbound.errors import Misuse
from dnsbound.iana import SignatureScheme


class Signer(Protocol):
    """A private key that can be used and not read."""

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo of the public half."""
        ...

    @property
    def schemes(self) -> tuple[SignatureScheme, ...]:
        """What it signs handshakes with, best first."""
        ...

    @property
    def needs_human(self) -> bool:
        """Signing may make a person act: touch a token, enter a PIN. Such a key is used when it is asked for, and never
        offered unasked (draft-jhoyla-req-mtls-flag)."""
        ...

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        """Signature over the message (not its digest); Misuse for a scheme the key does not have."""
        ...


_ECDSA: Final = {
    SignatureScheme.ECDSA_SECP256R1_SHA256: ("secp256r1", hashes.SHA256()),
    SignatureScheme.ECDSA_SECP384R1_SHA384: ("secp384r1", hashes.SHA384()),
    SignatureScheme.ECDSA_SECP521R1_SHA512: ("secp521r1", hashes.SHA512()),
}
_RSA: Final = {
    SignatureScheme.RSA_PSS_RSAE_SHA256: hashes.SHA256(),
    SignatureScheme.RSA_PSS_RSAE_SHA384: hashes.SHA384(),
    SignatureScheme.RSA_PSS_RSAE_SHA512: hashes.SHA512(),
}


def schemes_of(key: PublicKey) -> tuple[SignatureScheme, ...]:
    """What a key of this kind signs handshakes with, best first; nothing for a curve TLS 1.3 does not know."""
    match key:
        case ed25519.Ed25519PublicKey():
            return (SignatureScheme.ED25519,)
        case mldsa.MLDSA44PublicKey():
            return (SignatureScheme.MLDSA44,)
        case mldsa.MLDSA65PublicKey():
            return (SignatureScheme.MLDSA65,)
        case mldsa.MLDSA87PublicKey():
            return (SignatureScheme.MLDSA87,)
        case rsa.RSAPublicKey():
            return tuple(_RSA)
        case ec.EllipticCurvePublicKey():
            return tuple(scheme for scheme, (curve, _) in _ECDSA.items() if curve == key.curve.name)


def hash_of(scheme: SignatureScheme) -> hashes.HashAlgorithm:
    """The hash of a scheme that has one: ECDSA's and RSA's."""
    return _RSA[scheme] if scheme in _RSA else _ECDSA[scheme][1]


class LocalSigner:
    """Signs with a key held in memory."""

    __slots__ = ("_by_scheme", "key", "schemes", "spki")

    needs_human: Final = False

    def __init__(self, key: PrivateKey) -> None:
        self.key: Final = key
        self.spki: Final = spki_der(key.public_key())
        self.schemes: Final = schemes_of(key.public_key())
        self._by_scheme: Final = {scheme: _signing(key, scheme) for scheme in self.schemes}

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        made = self._by_scheme.get(scheme)
        if made is None:
            raise Misuse(f"this key does not sign with {scheme.name}")
        return made(message)


def _signing(key: PrivateKey, scheme: SignatureScheme) -> Callable[[bytes], bytes]:
    """Made once: what the library wants to be told with every signature takes a tenth of a signature's time to make."""
    if isinstance(key, rsa.RSAPrivateKey):
        digest = _RSA[scheme]
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        rsa_sign = key.sign
        return lambda message: rsa_sign(message, pss, digest)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        ecdsa = ec.ECDSA(_ECDSA[scheme][1])
        ec_sign = key.sign
        return lambda message: ec_sign(message, ecdsa)
    return key.sign
