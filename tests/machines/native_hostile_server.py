"""A TLS 1.3 server that says what no library lets one say, up to its Finished. Bytes in, bytes out.

It asks for a certificate with whatever extensions the test composes. Message formats: RFC 9846 section 4.
"""

import hashlib
import os
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adversary.hostile_client import (
    ALERT,
    APPLICATION_DATA,
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    ECDSA_SECP256R1_SHA256,
    ENCRYPTED_EXTENSIONS,
    FINISHED,
    HANDSHAKE,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    extension,
    extensions_of,
    message,
    vector,
)
from adversary.key_schedule import KeySchedule, Protection, finished
from machines.native_pairs import Identity

RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()
P256 = 0x0017


class HostileServer:
    """`answer` gives the whole flight to one ClientHello; `open` decrypts what the client says to it."""

    def __init__(
        self,
        identity: Identity,
        *,
        request: bytes = b"",
        entry: bytes = b"",
        hello: bytes = b"",
        encrypted: bytes = b"",
    ) -> None:
        """request: the CertificateRequest's extensions beside signature_algorithms; entry: those of our own entry;
        hello, encrypted: more of ServerHello and EncryptedExtensions."""
        self.identity = identity
        self.request = request
        self.entry = entry
        self.hello = hello
        self.encrypted = encrypted
        self._transcript = b""

    def retry(self, flight: bytes, extensions: bytes) -> bytes:
        """A HelloRetryRequest for P-256, with more extensions; nothing can follow it."""
        session_id = _client_hello(flight)[39 : 39 + _client_hello(flight)[38]]
        block = extension(43, b"\x03\x04") + extension(51, P256.to_bytes(2, "big")) + extensions
        body = b"\x03\x03" + RETRY_RANDOM + vector(session_id, 1) + b"\x13\x01\x00" + vector(block, 2)
        return _clear(message(SERVER_HELLO, body))

    def answer(self, flight: bytes) -> bytes:
        hello = self._transcript = _client_hello(flight)
        record = self._server_hello(hello)
        sealed = Protection(self._schedule.handshake_secret("s", self._hash()))
        self._receive = Protection(self._schedule.handshake_secret("c", self._hash()))
        algorithms = extension(13, vector(bytes.fromhex("04030804"), 2))
        messages = [
            self._say(message(ENCRYPTED_EXTENSIONS, vector(self.encrypted, 2))),
            self._say(message(CERTIFICATE_REQUEST, b"\0" + vector(algorithms + self.request, 2))),
            self._say(message(CERTIFICATE, b"\0" + vector(self._entries(), 3))),
            self._say(message(CERTIFICATE_VERIFY, self._signature())),
            self._say(message(FINISHED, finished(sealed.secret, self._hash()))),
        ]
        flight = record + sealed.seal(HANDSHAKE, b"".join(messages))
        self._send = Protection(self._schedule.application_secret("s", self._hash()))
        return flight

    def ticket(self, extensions: bytes) -> bytes:
        """A NewSessionTicket; only after `answer`."""
        body = struct.pack("!II", 600, 0) + vector(b"n", 1) + vector(b"ticket", 2) + vector(extensions, 2)
        return self._send.seal(HANDSHAKE, message(NEW_SESSION_TICKET, body))

    def late_request(self, context: bytes, extensions: bytes = b"") -> bytes:
        """A CertificateRequest after the handshake; from now on `open` reads what comes under application keys."""
        self._receive = Protection(self._schedule.application_secret("c", self._hash()))
        algorithms = extension(13, vector(bytes.fromhex("04030804"), 2))
        body = vector(context, 1) + vector(algorithms + extensions, 2)
        return self._send.seal(HANDSHAKE, message(CERTIFICATE_REQUEST, body))

    def open(self, flight: bytes) -> list[tuple[int, bytes]]:
        """(content type, content) of each record of the client's."""
        found, at = [], 0
        while at < len(flight):
            header = flight[at : at + 5]
            body = flight[at + 5 : at + 5 + int.from_bytes(header[3:5], "big")]
            at += 5 + len(body)
            if header[0] == APPLICATION_DATA:
                found.append(self._receive.open(header, body))
            elif header[0] != CHANGE_CIPHER_SPEC:
                found.append((header[0], body))
        return found

    def alerts(self, flight: bytes) -> list[int]:
        return [content[1] for kind, content in self.open(flight) if kind == ALERT]

    def _server_hello(self, hello: bytes) -> bytes:
        session_end = 4 + 34 + 1 + hello[38]
        suites_end = session_end + 2 + int.from_bytes(hello[session_end : session_end + 2], "big")
        session_id = hello[39:session_end]
        shares = extensions_of(hello[suites_end + 4 :])[51][2:]
        key = X25519PrivateKey.generate()
        mine = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._schedule = KeySchedule(key.exchange(X25519PublicKey.from_public_bytes(extensions_share(shares))))
        extensions = extension(43, b"\x03\x04") + extension(51, b"\x00\x1d" + vector(mine, 2)) + self.hello
        body = b"\x03\x03" + os.urandom(32) + vector(session_id, 1) + b"\x13\x01\x00" + vector(extensions, 2)
        return _clear(self._say(message(SERVER_HELLO, body)))

    def _entries(self) -> bytes:
        first, *rest = self.identity.chain
        return vector(first, 3) + vector(self.entry, 2) + b"".join(vector(der, 3) + vector(b"", 2) for der in rest)

    def _signature(self) -> bytes:
        assert isinstance(self.identity.key, ec.EllipticCurvePrivateKey)
        content = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + self._hash()
        signature = self.identity.key.sign(content, ec.ECDSA(hashes.SHA256()))
        return struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2)

    def _say(self, whole: bytes) -> bytes:
        self._transcript += whole
        return whole

    def _hash(self) -> bytes:
        return hashlib.sha256(self._transcript).digest()


def _client_hello(flight: bytes) -> bytes:
    assert flight[0] == HANDSHAKE
    hello = flight[5 : 5 + int.from_bytes(flight[3:5], "big")]
    assert hello[0] == CLIENT_HELLO
    return hello


def client_hello_extensions(flight: bytes) -> dict[int, bytes]:
    """Those of the ClientHello a flight begins with."""
    hello = _client_hello(flight)
    suites = 39 + hello[38]
    compression = suites + 2 + int.from_bytes(hello[suites : suites + 2], "big")
    return extensions_of(hello[compression + 1 + hello[compression] + 2 :])


def _clear(whole: bytes) -> bytes:
    return struct.pack("!BHH", HANDSHAKE, 0x0303, len(whole)) + whole


def extensions_share(shares: bytes) -> bytes:
    """The X25519 share among a ClientHello's."""
    return extensions_of(shares)[0x001D]
