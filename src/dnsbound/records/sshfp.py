"""SSHFP record data (RFC 4255 section 3.1): algorithm, fingerprint type, fingerprint of a host's key.

Type 2 alone is made and used: type 1 is SHA-1. Numbers that are not known survive a round trip and match nothing.
Sections: RFC 4255 sections 2.4, 3.1 and 3.2; RFC 6594; RFC 7479; RFC 8709 section 8.
"""

import binascii
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.wire import Reader

SHA_256: Final = 2
"""The fingerprint type."""
_ALGORITHMS: Final = {
    "ssh-rsa": 1,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
}


@dataclass(frozen=True, slots=True, order=True)
class SSHFP:
    """One SSHFP record's data."""

    algorithm: int
    fingerprint_type: int
    fingerprint: bytes

    @classmethod
    def of(cls, kind: str, blob: bytes) -> Self:
        """The record of a key, as SSH names and sends it. Misuse for a kind that has no number."""
        if kind not in _ALGORITHMS:
            raise Misuse(f"SSHFP has no number for keys of {kind}")
        return cls(_ALGORITHMS[kind], SHA_256, sha256(blob).digest())

    @classmethod
    def from_wire(cls, rdata: bytes) -> Self:
        reader = Reader(rdata, "SSHFP record")
        return cls(reader.uint(1), reader.uint(1), reader.rest())

    def to_wire(self) -> bytes:
        return bytes((self.algorithm, self.fingerprint_type)) + self.fingerprint

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Presentation form: two decimal numbers and hexadecimal digits, spaces allowed."""
        fields = text.split()
        if len(fields) < 2 or not all(field.isascii() and field.isdigit() and len(field) < 4 for field in fields[:2]):
            raise Malformed("SSHFP record text does not begin with two numbers")
        try:
            wire = bytes((int(fields[0]), int(fields[1]))) + binascii.unhexlify("".join(fields[2:]))
        except (binascii.Error, ValueError):
            raise Malformed("SSHFP record: a number above 255, or a fingerprint that is not hexadecimal") from None
        return cls.from_wire(wire)

    def to_text(self) -> str:
        return f"{self.algorithm} {self.fingerprint_type} {self.fingerprint.hex()}"

    def names(self, kind: str, blob: bytes) -> bool:
        """Whether it is the record of this key."""
        return (
            self.fingerprint_type == SHA_256
            and _ALGORITHMS.get(kind) == self.algorithm
            and compare_digest(self.fingerprint, sha256(blob).digest())
        )

    @property
    def is_usable(self) -> bool:
        """Whether it could be any key's."""
        return (
            self.fingerprint_type == SHA_256
            and self.algorithm in _ALGORITHMS.values()
            and len(self.fingerprint) == sha256().digest_size
        )
