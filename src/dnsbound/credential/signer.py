"""The seam where a private key signs, so that the key need not be in this process.

`Signer` is all that may be asked of a key that never leaves its hardware. `LocalSigner` is the one for keys held in
memory. Scheme numbers are those of TLS (RFC 9846 section 4.3.3).
"""

from typing import Final, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from dnsbound.credential.keys import PrivateKey, spki_der
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
        """What the key can do, best first."""
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


class LocalSigner:
    """Signs with a key held in memory."""

    __slots__ = ("_key",)

    needs_human: Final = False

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @property
    def spki(self) -> bytes:
        return spki_der(self._key.public_key())

    @property
    def schemes(self) -> tuple[SignatureScheme, ...]:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return (SignatureScheme.ED25519,)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return tuple(_RSA)
        curve = self._key.curve.name
        return tuple(scheme for scheme, (wanted, _) in _ECDSA.items() if wanted == curve)

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        if scheme not in self.schemes:
            raise Misuse(f"this key does not sign with {scheme.name}")
        key = self._key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        if isinstance(key, rsa.RSAPrivateKey):
            digest = _RSA[scheme]
            return key.sign(message, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
        return key.sign(message, ec.ECDSA(_ECDSA[scheme][1]))
