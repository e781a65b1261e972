"""TLS 1.2 keys and record protection for the hostile clients, from RFC 5246 sections 5, 6.2.3.3 and 8.1, RFC 5288 and
RFC 7627. One suite: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, over TLS and DTLS (RFC 6347 section 4.1.2.1). Independent
of the native engine on purpose.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_OCTETS = 48
VERIFY_DATA_OCTETS = 12
KEY_OCTETS, SALT_OCTETS, NONCE_OCTETS, TAG_OCTETS = 16, 4, 8, 16


def prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 (RFC 5246 section 5)."""
    seed = label + seed
    output, block = b"", seed
    while len(output) < length:
        block = hmac.digest(secret, block, "sha256")
        output += hmac.digest(secret, block + seed, "sha256")
    return output[:length]


@dataclass(frozen=True)
class Secrets12:
    """Secrets of one connection."""

    master: bytes
    client_random: bytes
    server_random: bytes

    @classmethod
    def agree(cls, shared: bytes, client_random: bytes, server_random: bytes, *, session: bytes | None) -> "Secrets12":
        """session: the transcript up to and including ClientKeyExchange; None for a master secret that is not extended
        (which RFC 7627 section 5.2 has both sides refuse)."""
        if session is None:
            master = prf(shared, b"master secret", client_random + server_random, MASTER_OCTETS)
        else:
            master = prf(shared, b"extended master secret", hashlib.sha256(session).digest(), MASTER_OCTETS)
        return cls(master, client_random, server_random)

    def finished(self, side: str, transcript: bytes) -> bytes:
        """side: "client" or "server"; transcript: the messages themselves."""
        seed = hashlib.sha256(transcript).digest()
        return prf(self.master, f"{side} finished".encode(), seed, VERIFY_DATA_OCTETS)

    def protection(self, side: str, *, epoch: int = 0) -> "Protection12":
        """Keys of what this side writes. epoch: of DTLS; TLS numbers its records from nought."""
        seed = self.server_random + self.client_random
        block = prf(self.master, b"key expansion", seed, 2 * (KEY_OCTETS + SALT_OCTETS))
        at = 0 if side == "client" else 1
        salts = block[2 * KEY_OCTETS :]
        return Protection12(
            block[at * KEY_OCTETS : (at + 1) * KEY_OCTETS], salts[at * SALT_OCTETS : (at + 1) * SALT_OCTETS], epoch
        )

    def exported(self, label: bytes, length: int, context: bytes | None = None) -> bytes:
        """RFC 5705 section 4."""
        seed = self.client_random + self.server_random
        if context is not None:
            seed += len(context).to_bytes(2, "big") + context
        return prf(self.master, label, seed, length)


class Protection12:
    """AES-128-GCM in one direction. The sequence counts from nought in the epoch and may be chosen by the caller."""

    def __init__(self, key: bytes, salt: bytes, epoch: int) -> None:
        self._aead = AESGCM(key)
        self._salt = salt
        self.epoch = epoch
        self.sequence = 0

    def _number(self, sequence: int) -> bytes:
        return struct.pack("!Q", self.epoch << 48 | sequence)

    def seal(self, kind: int, version: int, content: bytes, *, sequence: int | None = None) -> tuple[int, bytes]:
        """The sequence number used, and the record's fragment."""
        number = self.sequence if sequence is None else sequence
        self.sequence = max(self.sequence, number + 1)
        nonce = self._number(number)
        header = nonce + struct.pack("!BHH", kind, version, len(content))
        return number, nonce + self._aead.encrypt(self._salt + nonce, content, header)

    def open(self, kind: int, version: int, fragment: bytes, *, sequence: int | None = None) -> bytes:
        """sequence: of a DTLS record's header; TLS counts."""
        number = self.sequence if sequence is None else sequence
        self.sequence = number + 1
        nonce, body = fragment[:NONCE_OCTETS], fragment[NONCE_OCTETS:]
        length = len(body) - TAG_OCTETS
        header = self._number(number) + struct.pack("!BHH", kind, version, length)
        return self._aead.decrypt(self._salt + nonce, body, header)
