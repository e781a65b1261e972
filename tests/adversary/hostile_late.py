"""`HostileClient` that is asked after the handshake (RFC 9846 section 4.7.2), and answers what no library would.

The context of an answer is everything up to the client's Finished, and then the request it answers; its base key is the
client's application traffic secret. Each part is made by its own call, so a test may leave one out, repeat it, or
answer what was not asked.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    ECDSA_SECP256R1_SHA256,
    FINISHED,
    HANDSHAKE,
    Entry,
    HostileClient,
    extension,
    extensions_of,
    message,
    vector,
)
from adversary.key_schedule import finished

POST_HANDSHAKE_AUTH = extension(49, b"")


@dataclass
class HostileLateClient(HostileClient):
    """See the module. `late_requests` are whole CertificateRequests that came after the handshake."""

    late_requests: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._late = b""

    def _message(self, whole: bytes) -> None:
        if self.complete and whole[0] == CERTIFICATE_REQUEST:
            self.late_requests.append(whole)
            return
        super()._message(whole)

    def begin_answer(self, request: bytes) -> None:
        """What follows answers this request; one that the server never made will do."""
        self._late = self._transcript + request

    def late_certificate(self, entries: Iterable[Entry], context: bytes) -> bytes:
        body = vector(context, 1) + vector(b"".join(entry.to_wire() for entry in entries), 3)
        return self._late_record(message(CERTIFICATE, body))

    def late_verify(self, key: ec.EllipticCurvePrivateKey, *, damaged: bool = False) -> bytes:
        content = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + hashlib.sha256(self._late).digest()
        signature = key.sign(content + (b"!" if damaged else b""), ec.ECDSA(hashes.SHA256()))
        body = struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2)
        return self._late_record(message(CERTIFICATE_VERIFY, body))

    def late_finished(self, *, damaged: bool = False) -> bytes:
        assert self._send is not None
        code = finished(self._send.secret, hashlib.sha256(self._late).digest())
        return self._late_record(message(FINISHED, bytes(len(code)) if damaged else code))

    def _late_record(self, whole: bytes) -> bytes:
        assert self._send is not None
        self._late += whole
        return self._send.seal(HANDSHAKE, whole)


def context_of(request: bytes) -> bytes:
    return request[5 : 5 + request[4]]


def requested(request: bytes) -> dict[int, bytes]:
    return extensions_of(request[4 + 1 + request[4] + 2 :])
