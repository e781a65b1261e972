"""A TLS 1.2 client that says what no library lets one say. Bytes in, bytes out; `Session` of `hostile_client`
carries it.

Each message is made by its own call and enters the transcript as sent, so a test may leave one out, repeat it, sign
with another key, or stop anywhere. Message formats: RFC 5246 section 7.4, RFC 8422, RFC 7250; it never checks the
server's certificate or the signature of its key exchange. What is carried differently over DTLS is in `_whole`,
`_record` and `receive`, which `hostile_datagrams` replaces.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

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
    CLIENT_CERTIFICATE_TYPE,
    CLIENT_HELLO,
    CLOSE_NOTIFY,
    ECDSA_SECP256R1_SHA256,
    FINISHED,
    HANDSHAKE,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    extension,
    extensions_of,
    message,
    vector,
)
from adversary.key_schedule_12 import VERIFY_DATA_OCTETS, Protection12, Secrets12

HELLO_REQUEST, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE = 0, 12, 14, 16
EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO, SUPPORTED_VERSIONS = 23, 0xFF01, 43
ECDHE_ECDSA_AES_128_GCM_SHA256 = 0xC02B
DOWNGRADE_SENTINEL = b"DOWNGRD\x01"
"""Last octets of the server's random when it could have spoken TLS 1.3 (RFC 9846 section 4.2.3)."""


@dataclass
class HostileClient12:
    """The sans-IO half. `handshake`, `alerts` and what follows them are what a test reads afterwards."""

    server_name: str = "api.cars.example"
    raw_public_key: bool = False
    extended_master_secret: bool = True
    renegotiation_info: bytes | None = b""
    """verify_data in renegotiation_info; None leaves the extension out."""
    extra_extensions: bytes = b""
    extra_suites: bytes = b""
    handshake: dict[int, bytes] = field(default_factory=dict)
    """Bodies of the server's handshake messages by type."""
    alerts: list[tuple[int, int]] = field(default_factory=list)
    protected_alerts: list[tuple[int, int]] = field(default_factory=list)
    """Those of them that came under the connection's keys."""
    application_data: bytes = b""
    tickets: int = 0
    server_finished: bool = False
    """The server's Finished has come and was right."""
    hello_done: bool = False
    closed: bool = False

    version = 0x0303

    def __post_init__(self) -> None:
        self._key = X25519PrivateKey.generate()
        self.random = os.urandom(32)
        self._transcript = b""
        self._in = b""
        self._messages = b""
        self._receive: Protection12 | None = None
        self._send: Protection12 | None = None
        self.secrets: Secrets12 | None = None
        self.verify_data = b""
        """Of this client's Finished: what an honest renegotiation would repeat."""

    @property
    def complete(self) -> bool:
        """As far as the server lets anyone come without the client's own flight."""
        return self.hello_done

    # --- what is sent

    def hello_body(self) -> bytes:
        extensions = (
            extension(0, vector(b"\0" + vector(self.server_name.encode(), 2), 2))
            + extension(10, vector(b"\x00\x1d\x00\x17", 2))
            + extension(11, vector(b"\0", 1))
            + extension(13, vector(bytes.fromhex("0403050306030807080408050806040105010601"), 2))
            + (extension(EXTENDED_MASTER_SECRET, b"") if self.extended_master_secret else b"")
            + (b"" if self.renegotiation_info is None else self._renegotiation_info(self.renegotiation_info))
            + (extension(CLIENT_CERTIFICATE_TYPE, vector(b"\x02\x00", 1)) if self.raw_public_key else b"")
            + self.extra_extensions
        )
        suites = vector(struct.pack("!H", ECDHE_ECDSA_AES_128_GCM_SHA256) + self.extra_suites, 2)
        start = struct.pack("!H", self.version) + self.random + vector(b"", 1)
        return start + self._cookie() + suites + b"\x01\x00" + vector(extensions, 2)

    @staticmethod
    def _renegotiation_info(verify_data: bytes) -> bytes:
        return extension(RENEGOTIATION_INFO, vector(verify_data, 1))

    def _cookie(self) -> bytes:
        return b""

    def client_hello(self) -> bytes:
        return self.say(CLIENT_HELLO, self.hello_body())

    def certificate(self, chain: Sequence[bytes]) -> bytes:
        """DER certificates, leaf first; none is an empty list."""
        return self.say(CERTIFICATE, vector(b"".join(vector(der, 3) for der in chain), 3))

    def raw_key(self, spki: bytes) -> bytes:
        """A Certificate message of RFC 7250 section 3."""
        return self.say(CERTIFICATE, vector(spki, 3))

    def client_key_exchange(self) -> bytes:
        share = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        wire = self.say(CLIENT_KEY_EXCHANGE, vector(share, 1))
        theirs = self.handshake[SERVER_KEY_EXCHANGE]
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(theirs[4 : 4 + theirs[3]]))
        session = self._transcript if self.extended_master_secret else None
        self.secrets = Secrets12.agree(shared, self.random, self.server_random, session=session)
        return wire

    def certificate_verify(self, key: ec.EllipticCurvePrivateKey, *, damaged: bool = False) -> bytes:
        signature = key.sign(self._transcript + (b"!" if damaged else b""), ec.ECDSA(hashes.SHA256()))
        return self.say(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2))

    def change_cipher_spec(self) -> bytes:
        """What follows is under this connection's keys."""
        wire = self._record(CHANGE_CIPHER_SPEC, b"\x01")
        assert self.secrets is not None
        self._send = self.secrets.protection("client", epoch=self._next_epoch())
        return wire

    def _next_epoch(self) -> int:
        return 0

    def finished(self, *, damaged: bool = False) -> bytes:
        assert self.secrets is not None
        self.verify_data = self.secrets.finished("client", self._transcript)
        return self.say(FINISHED, bytes(VERIFY_DATA_OCTETS) if damaged else self.verify_data)

    def data(self, octets: bytes) -> bytes:
        return self._record(APPLICATION_DATA, octets)

    def alert(self, level: int, description: int) -> bytes:
        return self._record(ALERT, bytes((level, description)))

    def say(self, kind: int, body: bytes) -> bytes:
        """Any handshake message, entered into the transcript."""
        whole = self._whole(kind, body)
        self._transcript += whole
        return self._carried(whole)

    def aside(self, kind: int, body: bytes) -> bytes:
        """One that is no part of the transcript, such as the beginning of another handshake."""
        return self._carried(self._whole(kind, body))

    def _whole(self, kind: int, body: bytes) -> bytes:
        return message(kind, body)

    def _carried(self, whole: bytes) -> bytes:
        pieces = [whole[at : at + 16000] for at in range(0, len(whole), 16000)]
        return b"".join(self._record(HANDSHAKE, piece) for piece in pieces)

    def _record(self, kind: int, content: bytes) -> bytes:
        if self._send is not None:
            _, content = self._send.seal(kind, self.version, content)
        return struct.pack("!BHH", kind, self.version, len(content)) + content

    # --- what is received

    def receive(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 5:
            kind, version, length = struct.unpack_from("!BHH", self._in)
            if len(self._in) < 5 + length:
                return
            body, self._in = self._in[5 : 5 + length], self._in[5 + length :]
            if self._receive is not None:
                body = self._receive.open(kind, version, body)
            self._content(kind, body)

    def _content(self, kind: int, body: bytes) -> None:
        if kind == ALERT:
            self.alerts.append((body[0], body[1]))
            if self._receive is not None:
                self.protected_alerts.append((body[0], body[1]))
            self.closed = self.closed or body[1] == CLOSE_NOTIFY
        elif kind == CHANGE_CIPHER_SPEC:
            assert self.secrets is not None, "the server changes keys before there are any"
            self._receive = self.secrets.protection("server", epoch=self._next_epoch())
        elif kind == APPLICATION_DATA:
            self.application_data += body
        else:
            self._handshake_content(body)

    def _handshake_content(self, body: bytes) -> None:
        self._messages += body
        while len(self._messages) >= 4:
            size = 4 + int.from_bytes(self._messages[1:4], "big")
            if len(self._messages) < size:
                return
            whole, self._messages = self._messages[:size], self._messages[size:]
            self._message(whole[0], whole, whole[4:])

    def _message(self, kind: int, whole: bytes, body: bytes) -> None:
        if kind == HELLO_REQUEST:
            return
        if kind == NEW_SESSION_TICKET:
            self.tickets += 1
        self.handshake[kind] = body
        if kind == FINISHED:
            assert self.secrets is not None
            assert body == self.secrets.finished("server", self._transcript), "the server's Finished is wrong"
            self.server_finished = True
        self._transcript += whole
        self.hello_done = self.hello_done or kind == SERVER_HELLO_DONE

    # --- what the server said

    @property
    def server_random(self) -> bytes:
        return self.handshake[SERVER_HELLO][2:34]

    def hello_extensions(self) -> dict[int, bytes]:
        """Extensions of the ServerHello."""
        body = self.handshake[SERVER_HELLO]
        at = 35 + body[34] + 2 + 1
        return extensions_of(body[at + 2 :])

    @property
    def asked_for_certificate(self) -> bool:
        return CERTIFICATE_REQUEST in self.handshake
