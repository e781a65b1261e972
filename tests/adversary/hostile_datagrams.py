"""A DTLS 1.2 client that says what no library lets one say: `HostileClient12` over datagrams (RFC 6347).

Each call makes one record, which may be sent in a datagram of its own or joined with others; `record` and `fragment`
make any record and any piece of a message, with numbers the test chooses.
"""

import socket
import struct
from dataclasses import dataclass, field
from typing import Self

from adversary.hostile_client import HANDSHAKE
from adversary.hostile_client_12 import HostileClient12

HELLO_VERIFY_REQUEST = 3
RECORD_HEADER, MESSAGE_HEADER = 13, 12


def fragment(kind: int, number: int, length: int, offset: int, piece: bytes) -> bytes:
    """RFC 6347 section 4.2.2: a piece of message `number`, whose body has `length` octets in all."""
    sizes = length.to_bytes(3, "big"), offset.to_bytes(3, "big"), len(piece).to_bytes(3, "big")
    return bytes((kind,)) + sizes[0] + struct.pack("!H", number) + sizes[1] + sizes[2] + piece


def record(kind: int, epoch: int, sequence: int, content: bytes, *, version: int = 0xFEFD) -> bytes:
    """RFC 6347 section 4.1."""
    header = struct.pack("!BHH", kind, version, epoch) + sequence.to_bytes(6, "big")
    return header + len(content).to_bytes(2, "big") + content


@dataclass
class HostileDatagramClient(HostileClient12):
    """See `HostileClient12`; `receive` takes one datagram."""

    cookie: bytes = b""
    fragment_octets: int = 16000
    """Of a message's body in one record."""
    heard: list[tuple[int, int, int]] = field(default_factory=list)
    """Content type, epoch and sequence number of every record that came."""

    version = 0xFEFD

    def __post_init__(self) -> None:
        super().__post_init__()
        self.message_number = 0
        self.sequences = [0, 0]
        """The next record's, of epochs 0 and 1."""
        self._next_heard = 0
        self._pieces: dict[int, dict[int, bytes]] = {}

    # --- what is sent

    def _cookie(self) -> bytes:
        return bytes((len(self.cookie),)) + self.cookie

    def client_hello(self) -> bytes:
        # What came before the cookie is no part of the transcript (RFC 6347 section 4.2.1).
        self._transcript = b""
        return super().client_hello()

    def _whole(self, kind: int, body: bytes) -> bytes:
        whole = fragment(kind, self.message_number, len(body), 0, body)
        self.message_number += 1
        return whole

    def _carried(self, whole: bytes) -> bytes:
        return b"".join(self.pieces(whole, self.fragment_octets))

    def pieces(self, whole: bytes, size: int) -> list[bytes]:
        """Records of a message cut so that each has `size` octets of its body at most."""
        kind, number, body = whole[0], int.from_bytes(whole[4:6], "big"), whole[MESSAGE_HEADER:]
        offsets = range(0, max(len(body), 1), size)
        return [self._record(HANDSHAKE, fragment(kind, number, len(body), at, body[at : at + size])) for at in offsets]

    def _record(self, kind: int, content: bytes) -> bytes:
        if self._send is None:
            self.sequences[0] += 1
            return record(kind, 0, self.sequences[0] - 1, content)
        number, sealed = self._send.seal(kind, self.version, content)
        self.sequences[1] = number + 1
        return record(kind, self._send.epoch, number, sealed)

    def sealed(self, kind: int, content: bytes, *, sequence: int) -> bytes:
        """Under this connection's keys, with a sequence number of the test's choice."""
        assert self._send is not None
        number, fragment_ = self._send.seal(kind, self.version, content, sequence=sequence)
        return record(kind, self._send.epoch, number, fragment_)

    def _next_epoch(self) -> int:
        return 1

    # --- what is received

    def receive(self, data: bytes) -> None:
        while len(data) >= RECORD_HEADER:
            kind, version, epoch = struct.unpack_from("!BHH", data)
            sequence, length = int.from_bytes(data[5:11], "big"), int.from_bytes(data[11:13], "big")
            body, data = data[RECORD_HEADER : RECORD_HEADER + length], data[RECORD_HEADER + length :]
            self.heard.append((kind, epoch, sequence))
            if epoch:
                assert self._receive is not None, "protected before the keys were changed"
                body = self._receive.open(kind, version, body, sequence=sequence)
            self._content(kind, body)

    def _handshake_content(self, body: bytes) -> None:
        while body:
            kind, number = body[0], int.from_bytes(body[4:6], "big")
            length, at, size = (int.from_bytes(body[place : place + 3], "big") for place in (1, 6, 9))
            piece, body = body[MESSAGE_HEADER : MESSAGE_HEADER + size], body[MESSAGE_HEADER + size :]
            self._pieces.setdefault(number, {})[at] = piece
            whole = b"".join(self._pieces[number][place] for place in sorted(self._pieces[number]))
            if number == self._next_heard and len(whole) == length:
                self._next_heard += 1
                if kind == HELLO_VERIFY_REQUEST:
                    self.cookie = whole[3 : 3 + whole[2]]
                else:
                    self._message(kind, fragment(kind, number, length, 0, whole), whole)


class DatagramSession:
    """One hostile client on a UDP socket; every wait is bounded by `patience` seconds."""

    def __init__(
        self, address: tuple[str, int], client: HostileDatagramClient, *, patience: float = 5.0, source: str = ""
    ) -> None:
        self.client = client
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source or "127.0.0.1", 0))
        self.socket.connect(address)
        self.socket.settimeout(patience)
        self.sent = self.received = 0
        """Octets of datagrams."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sent += len(datagram)
            self.socket.send(datagram)

    def receive(self, *, seconds: float | None = None) -> bytes | None:
        """The next datagram, given to the client as well; None when none came in time."""
        patience = self.socket.gettimeout()
        try:
            self.socket.settimeout(patience if seconds is None else seconds)
            datagram = self.socket.recv(65_536)
        except (TimeoutError, ConnectionRefusedError):
            return None
        finally:
            self.socket.settimeout(patience)
        self.received += len(datagram)
        self.client.receive(datagram)
        return datagram

    def greet(self) -> None:
        """The cookie exchange, then everything up to the server's ServerHelloDone."""
        self.send(self.client.client_hello())
        while not self.client.cookie and self.receive() is not None:
            pass
        assert self.client.cookie, "nobody asked for a cookie"
        self.send(self.client.client_hello())
        while not self.client.hello_done and self.receive() is not None:
            pass
        assert self.client.hello_done, self.client.alerts
