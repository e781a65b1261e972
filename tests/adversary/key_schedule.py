"""TLS 1.3 key schedule and record protection for the hostile client, from RFC 9846 sections 5 and 7 (RFC 8446's numbers
are the same). One suite: TLS_AES_128_GCM_SHA256. Independent of the native engine on purpose.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

EMPTY_HASH = hashlib.sha256(b"").digest()
HASH_OCTETS = 32


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def expand_label(secret: bytes, label: str, context: bytes, length: int) -> bytes:
    name = b"tls13 " + label.encode()
    info = struct.pack("!HB", length, len(name)) + name + bytes((len(context),)) + context
    output, block = b"", b""
    for counter in range(1, 256):
        if len(output) >= length:
            break
        block = hmac.digest(secret, block + info + bytes((counter,)), "sha256")
        output += block
    return output[:length]


class KeySchedule:
    """Secrets of one connection without a pre-shared key, from the shared secret of the key exchange onwards."""

    def __init__(self, shared_secret: bytes) -> None:
        zeros = bytes(HASH_OCTETS)
        early = extract(zeros, zeros)
        self._handshake = extract(expand_label(early, "derived", EMPTY_HASH, HASH_OCTETS), shared_secret)
        self._master = extract(expand_label(self._handshake, "derived", EMPTY_HASH, HASH_OCTETS), zeros)

    def handshake_secret(self, side: str, transcript: bytes) -> bytes:
        """side: "c" or "s"; transcript: hash up to and including ServerHello."""
        return expand_label(self._handshake, f"{side} hs traffic", transcript, HASH_OCTETS)

    def application_secret(self, side: str, transcript: bytes) -> bytes:
        """transcript: hash up to and including the server's Finished."""
        return expand_label(self._master, f"{side} ap traffic", transcript, HASH_OCTETS)


def finished(traffic_secret: bytes, transcript: bytes) -> bytes:
    return hmac.digest(expand_label(traffic_secret, "finished", b"", HASH_OCTETS), transcript, "sha256")


class Protection:
    """Record protection in one direction under one traffic secret."""

    def __init__(self, traffic_secret: bytes) -> None:
        self.secret = traffic_secret
        self._aead = AESGCM(expand_label(traffic_secret, "key", b"", 16))
        self._iv = int.from_bytes(expand_label(traffic_secret, "iv", b"", 12), "big")
        self._sequence = 0

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return nonce

    def seal(self, content_type: int, content: bytes) -> bytes:
        inner = content + bytes((content_type,))
        header = struct.pack("!BHH", 23, 0x0303, len(inner) + 16)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        inner = self._aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]
