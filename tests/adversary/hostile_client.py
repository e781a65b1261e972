"""A TLS 1.3 client that says what no library lets one say. Bytes in, bytes out; the socket is in `Session`.

It runs an honest handshake up to the server's Finished and then sends whatever the test composes. `certificate`,
`certificate_verify` and `finished` each enter the transcript as sent, so a test may leave one out, repeat it, sign with
another key, or stop anywhere. Message formats: RFC 9846 section 4; it never checks the server's certificate.
"""

import hashlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adversary.key_schedule import KeySchedule, Protection, finished

HANDSHAKE, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC = 22, 21, 23, 20
CLOSE_NOTIFY = 0
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS = 1, 2, 4, 8
CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED = 11, 13, 15, 20
CLIENT_CERTIFICATE_TYPE = 19
ECDSA_SECP256R1_SHA256 = 0x0403


def vector(octets: bytes, size: int) -> bytes:
    return len(octets).to_bytes(size, "big") + octets


def extension(number: int, data: bytes) -> bytes:
    return struct.pack("!H", number) + vector(data, 2)


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + vector(body, 3)


def client_name(octets: bytes) -> bytes:
    """extension_data of dane_clientid as the draft has it; tests damage it as they like."""
    return vector(octets, 1)


@dataclass
class Entry:
    """One CertificateEntry: its data and its extensions, complete with their own headers."""

    data: bytes
    extensions: bytes = b""

    def to_wire(self) -> bytes:
        return vector(self.data, 3) + vector(self.extensions, 2)


@dataclass
class HostileClient:
    """The sans-IO half. `sent` and `handshake` are what a test reads afterwards."""

    server_name: str = "api.cars.example"
    raw_public_key: bool = False
    alpn: bytes | None = None
    extra_extensions: bytes = b""
    handshake: dict[int, bytes] = field(default_factory=dict)
    """Bodies of the server's handshake messages by type."""
    alerts: list[tuple[int, int]] = field(default_factory=list)
    application_data: bytes = b""
    tickets: int = 0
    complete: bool = False
    """The server's Finished has come and was right."""
    closed: bool = False

    def __post_init__(self) -> None:
        self._key = X25519PrivateKey.generate()
        self._transcript = b""
        self._in = b""
        self._messages = b""
        self._receive: Protection | None = None
        self._send: Protection | None = None
        self._schedule: KeySchedule | None = None

    # --- what is sent

    def client_hello(self) -> bytes:
        share = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        extensions = (
            (extension(0, vector(b"\0" + vector(self.server_name.encode(), 2), 2)) if self.server_name else b"")
            + extension(43, vector(b"\x03\x04", 1))
            + extension(10, vector(b"\x00\x1d", 2))
            + extension(51, vector(b"\x00\x1d" + vector(share, 2), 2))
            + extension(13, vector(bytes.fromhex("040305030603080708040805080604010501"), 2))
            + (extension(CLIENT_CERTIFICATE_TYPE, vector(b"\x02\x00", 1)) if self.raw_public_key else b"")
            + (extension(16, vector(vector(self.alpn, 1), 2)) if self.alpn else b"")
            + self.extra_extensions
        )
        body = b"\x03\x03" + os.urandom(32) + vector(os.urandom(32), 1) + vector(b"\x13\x01", 2) + b"\x01\x00"
        hello = message(CLIENT_HELLO, body + vector(extensions, 2))
        self._transcript += hello
        return struct.pack("!BHH", HANDSHAKE, 0x0301, len(hello)) + hello

    def certificate(self, entries: Iterable[Entry]) -> bytes:
        wire = b"".join(entry.to_wire() for entry in entries)
        return self._handshake_record(message(CERTIFICATE, b"\0" + vector(wire, 3)))

    def certificate_verify(self, key: ec.EllipticCurvePrivateKey, *, damaged: bool = False) -> bytes:
        content = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + self._hash()
        signature = key.sign(content + (b"!" if damaged else b""), ec.ECDSA(hashes.SHA256()))
        return self._handshake_record(
            message(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2))
        )

    def finished(self, *, damaged: bool = False) -> bytes:
        """The client's Finished; afterwards the sending direction uses the application keys."""
        assert self._send is not None
        code = finished(self._send.secret, self._hash())
        record = self._handshake_record(message(FINISHED, bytes(len(code)) if damaged else code))
        self._send = Protection(self._application_secret_client)
        return record

    def data(self, octets: bytes) -> bytes:
        assert self._send is not None
        return self._send.seal(APPLICATION_DATA, octets)

    def _handshake_record(self, whole: bytes) -> bytes:
        assert self._send is not None
        self._transcript += whole
        return b"".join(self._send.seal(HANDSHAKE, whole[at : at + 16000]) for at in range(0, len(whole), 16000))

    def _hash(self) -> bytes:
        return hashlib.sha256(self._transcript).digest()

    # --- what is received

    def receive(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 5:
            length = int.from_bytes(self._in[3:5], "big")
            if len(self._in) < 5 + length:
                return
            header, body = self._in[:5], self._in[5 : 5 + length]
            self._in = self._in[5 + length :]
            self._record(header, body)

    def _record(self, header: bytes, body: bytes) -> None:
        kind = header[0]
        if kind == CHANGE_CIPHER_SPEC:
            return
        if kind == APPLICATION_DATA and self._receive is not None:
            kind, body = self._receive.open(header, body)
        if kind == ALERT:
            self.alerts.append((body[0], body[1]))
            self.closed = body[1] == CLOSE_NOTIFY
        elif kind == APPLICATION_DATA:
            self.application_data += body
        else:
            self._messages += body
            while len(self._messages) >= 4:
                size = 4 + int.from_bytes(self._messages[1:4], "big")
                if len(self._messages) < size:
                    return
                whole, self._messages = self._messages[:size], self._messages[size:]
                self._message(whole)

    def _message(self, whole: bytes) -> None:
        kind, body = whole[0], whole[4:]
        if kind == NEW_SESSION_TICKET:
            self.tickets += 1
            return
        self.handshake[kind] = body
        if kind == FINISHED:
            assert self._receive is not None
            assert body == finished(self._receive.secret, self._hash()), "the server's Finished is wrong"
        self._transcript += whole
        if kind == SERVER_HELLO:
            self._start_handshake_keys(body)
        elif kind == FINISHED:
            assert self._schedule is not None
            self._application_secret_client = self._schedule.application_secret("c", self._hash())
            self._receive = Protection(self._schedule.application_secret("s", self._hash()))
            self.complete = True

    def _start_handshake_keys(self, body: bytes) -> None:
        session_id = body[34]
        at = 35 + session_id + 2 + 1 + 2
        share = extensions_of(body[at:])[51]
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(share[4:]))
        self._schedule = KeySchedule(shared)
        self._send = Protection(self._schedule.handshake_secret("c", self._hash()))
        self._receive = Protection(self._schedule.handshake_secret("s", self._hash()))

    def requested_extensions(self) -> dict[int, bytes]:
        """Extensions of the server's CertificateRequest; empty when it sent none."""
        body = self.handshake.get(CERTIFICATE_REQUEST)
        return {} if body is None else extensions_of(body[1 + body[0] + 2 :])


def extensions_of(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        number, length = struct.unpack_from("!HH", block, at)
        found[number] = block[at + 4 : at + 4 + length]
        at += 4 + length
    return found


class Speaker(Protocol):
    """What a session needs of a client, of whatever version of TLS."""

    alerts: list[tuple[int, int]]
    closed: bool

    @property
    def complete(self) -> bool: ...

    def client_hello(self) -> bytes: ...

    def receive(self, data: bytes) -> None: ...


class Session:
    """One hostile connection over a socket; every wait is bounded by `patience` seconds."""

    def __init__(self, address: tuple[str, int], client: Speaker, *, patience: float = 5.0) -> None:
        self.client = client
        self.socket = socket.create_connection(address, timeout=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def send(self, *records: bytes) -> None:
        self.socket.sendall(b"".join(records))

    def handshake(self) -> None:
        """ClientHello, then read until the server's Finished."""
        self.send(self.client.client_hello())
        while not self.client.complete and not self.client.closed:
            self.receive()
        assert self.client.complete, self.client.alerts

    def receive(self) -> None:
        data = self._recv()
        self.client.receive(data)
        self.client.closed = self.client.closed or not data

    def _recv(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def until_closed(self) -> list[tuple[int, int]]:
        """Read to close_notify or the end of the connection; the alerts that came."""
        while not self.client.closed:
            self.receive()
        return self.client.alerts
