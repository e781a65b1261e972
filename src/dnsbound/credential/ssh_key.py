"""Public keys of SSH as keys of TLSA records, and back.

An SSH key that can sign for TLS is the same key as the one in a TLSA record 3 1 x, in another form: the record is made
of the SubjectPublicKeyInfo. Keys of hardware tokens (`sk-...`), SSH certificates and DSA keys are none of these.
Sections: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8332 section 3, RFC 8709 section 4.
"""

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_ssh_public_key,
)

from dnsbound.door_limits import SSH_KEY_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.wire import Reader

KINDS: Final = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)
_SIGNATURES: Final = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}
"""RFC 8332 section 3: names of signatures with keys of another name."""


@dataclass(frozen=True, slots=True)
class SshKey:
    """One public key. spki: its DER SubjectPublicKeyInfo; blob: the same as SSH sends it."""

    kind: str
    blob: bytes
    spki: bytes

    @classmethod
    def from_text(cls, kind: str, text: str) -> Self:
        """kind: of the key, or of the signature it makes. text: base64 of the blob. Malformed, LimitExceeded."""
        kind = _SIGNATURES.get(kind, kind)
        if kind not in KINDS:
            raise Malformed(f"SSH key: {kind[:40]!r} is no kind of key that a TLSA record can name")
        if len(text) > SSH_KEY_OCTETS.default * 4 // 3 + 4:
            raise LimitExceeded(SSH_KEY_OCTETS.name, "the blob is too long")
        try:
            blob = b64decode(text.encode("ascii"), validate=True)
            key = load_ssh_public_key(f"{kind} {text}".encode("ascii"))
        except (binascii.Error, ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: a compressed point
            raise Malformed("SSH key: the blob is none of its kind") from None
        found = cls._of(key)
        if found is None or found.kind != kind or found.blob != blob:
            raise Malformed("SSH key: the blob is of another kind, or not in its one form")
        return cls(kind, blob, found.spki)

    @classmethod
    def from_blob(cls, blob: bytes) -> Self:
        """A key as SSH sends it, which begins with its kind. Malformed, LimitExceeded."""
        if len(blob) > SSH_KEY_OCTETS.default:
            raise LimitExceeded(SSH_KEY_OCTETS.name, "the blob is too long")
        kind = Reader(blob, "SSH key").prefixed(4)
        return cls.from_text(kind[:64].decode("ascii", "replace"), b64encode(blob).decode("ascii"))

    @classmethod
    def from_spki(cls, spki: bytes) -> Self:
        """Malformed for what is no key, or one that SSH does not have."""
        try:
            found = cls._of(load_der_public_key(spki))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            found = None
        if found is None or found.spki != spki or found.kind not in KINDS:
            raise Malformed("the public key is none that SSH has")
        return found

    @classmethod
    def _of(cls, key: object) -> Self | None:
        if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            return None
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kind, _, text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).partition(b" ")
        return cls(kind.decode("ascii"), b64decode(text), spki)

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: SHA256: and base64 without padding."""
        return f"SHA256:{b64encode(sha256(self.blob).digest()).decode('ascii').rstrip('=')}"

    def to_text(self) -> str:
        """Kind and base64, as in every file of OpenSSH."""
        return f"{self.kind} {b64encode(self.blob).decode('ascii')}"
